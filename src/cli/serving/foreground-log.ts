import type { FileHandle } from 'node:fs/promises';
import type { LoadedConfig } from '../../config/load.js';
import { openLogFile } from '../process/log-file.js';

/** A FileHandle closes its file when it is collected: this one is for the life of the process. */
let held: FileHandle | undefined;

/**
 * The descriptor that a mount in the foreground logs to: log_file where that was asked for, undefined for stderr, which
 * in the background is the log.
 *
 * @throws CinderfsError `path_unusable`.
 */
export async function foregroundLog({ config, origins }: LoadedConfig): Promise<number | undefined> {
  const isBackground = process.send !== undefined;
  if (isBackground || origins.log_file.kind === 'default') return undefined;
  held = await openLogFile(config.log_file);
  return held.fd;
}
