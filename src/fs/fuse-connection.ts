/** The kernel's side of a FUSE mount, through fusectl (Documentation/filesystems/fuse.rst). */
import { writeFile } from 'node:fs/promises';
import { CinderfsError, reasonOf } from '../errors.js';
import { findMount } from './mount-table.js';

/** Cuts a connection off: every request, waiting or to come, fails with ECONNABORTED or ENOTCONN. */
export interface FuseConnection {
  abort(): Promise<void>;
}

/** The connection of the mount at `directory`: to be asked for before it is unmounted, while it still has a name. */
export async function fuseConnection(directory: string): Promise<FuseConnection> {
  const mount = await findMount(directory);
  if (mount === undefined)
    throw new CinderfsError('not_running', `nothing is mounted on ${directory}`, { path: directory });
  const file = `/sys/fs/fuse/connections/${mount.minor}/abort`;
  return {
    async abort() {
      try {
        await writeFile(file, '1');
      } catch (error) {
        throw new CinderfsError(
          'fuse_failed',
          `cannot abort the connection of ${directory}: ${reasonOf(error)}`,
          {
            path: file,
            remedy: 'Mount fusectl on /sys/fs/fuse/connections.',
            cause: error,
          },
        );
      }
    },
  };
}
