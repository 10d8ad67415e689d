/** The kernel's side of a FUSE mount (Documentation/filesystems/fuse.rst). */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { CinderfsError, reasonOf } from '../errors.js';
import { findMount } from './mount-table.js';
import { unmount } from './mountpoint.js';

const run = promisify(execFile);

/**
 * Cuts off those who hold the mount at `directory` and takes it out of the tree: every request, waiting or to come,
 * ends with ECONNABORTED or ENOTCONN. Through fusectl where it is mounted (the file belongs to whoever mounted), else
 * by a forced umount, which aborts also where it then refuses because the mount is busy; it needs root.
 *
 * @throws CinderfsError `fuse_failed` when neither works.
 */
export async function cutOff(directory: string): Promise<void> {
  const mount = await findMount(directory);
  if (mount === undefined) return;
  try {
    await writeFile(`/sys/fs/fuse/connections/${mount.minor}/abort`, '1');
  } catch {
    await run('umount', ['-f', '--', directory]).catch((error: unknown) => {
      if (!/busy/i.test(reasonOf(error))) throw CinderfsError.from(error, 'fuse_failed', { path: directory });
    });
  }
  if ((await findMount(directory))?.id === mount.id) await unmount(directory, { lazy: true });
}
