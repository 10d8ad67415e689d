import { writeFileSync } from 'node:fs';
import { eventually } from '../../support/eventually.js';
import { loadModules, sh } from './command.js';

/** One keyword a line, or multipathd ignores it. find_multipaths no: os-brick adds paths by name anyway. */
const CONFIGURATION = `defaults {
  user_friendly_names no
  find_multipaths no
  polling_interval 1
  max_polling_interval 1
  no_path_retry 60
}
blacklist {
  devnode "^(vd|loop|ram|nbd|dm-)"
}
`;

/** multipathd, with paths that fail and return within seconds, and reads that wait a minute for a path. */
export async function startMultipath(): Promise<void> {
  loadModules('dm_multipath', 'dm_round_robin', 'dm_service_time');
  writeFileSync('/etc/multipath.conf', CONFIGURATION);
  sh('multipathd');
  await eventually('multipathd answers', () => {
    try {
      return Promise.resolve(sh('multipathd', 'show', 'status') === '' ? undefined : true);
    } catch {
      return Promise.resolve(undefined);
    }
  });
}

/** How many paths multipathd takes for good, and for bad. */
export function paths(): { readonly active: number; readonly failed: number } {
  const states = sh('multipathd', 'show', 'paths', 'raw', 'format', '%t').split('\n');
  const count = (state: string): number => states.filter((line) => line.includes(state)).length;
  return { active: count('active'), failed: count('failed') };
}
