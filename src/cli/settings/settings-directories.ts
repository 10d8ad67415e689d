import type { Config } from '../../config/options.js';
import { keepDirectory } from '../../sys/files/kept-directory.js';

/**
 * Makes the directories of a mount. Before anything else is looked at, so that what is wrong with them is said first, in
 * the name of the setting.
 *
 * @throws CinderfsError `path_unusable`.
 */
export function keepDirectories({ state_dir: state, run_dir: run }: Config): void {
  keepDirectory({ setting: 'state_dir', path: state, mode: 0o700 });
  keepDirectory({ setting: 'run_dir', path: run, mode: 0o755 });
}
