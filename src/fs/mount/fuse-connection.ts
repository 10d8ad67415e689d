/** The kernel's side of a FUSE mount (Documentation/filesystems/fuse.rst). */
import { writeFile } from 'node:fs/promises';
import { CinderfsError, reasonOf } from '../../errors.js';
import { runSystemCommand } from '../../sys/processes/system-command.js';
import { withFusectl } from '../../sys/mounts/fusectl.js';
import { findMount } from '../../sys/mounts/mount-table.js';
import { unmount } from './mountpoint.js';

/** Milliseconds for a forced umount(8). */
const FORCE_MS = 10_000;

/**
 * Cuts off the processes that use the mount at `directory` and takes it out of the tree: every request, waiting or to come,
 * ends with ECONNABORTED or ENOTCONN.
 *
 * @throws CinderfsError `fuse_failed` when the connection cannot be ended.
 */
export async function cutOff(directory: string): Promise<void> {
  const mount = await findMount(directory);
  if (mount === undefined) return;
  await abort(mount.minor, directory);
  if ((await findMount(directory))?.id === mount.id) await unmount(directory, { lazy: true });
}

/**
 * Ends the connection whose number is `minor`, wherever its file system is mounted: through fusectl where that is
 * mounted (the file belongs to the mounting user), through a fusectl of our own, and at last by a forced umount of
 * `directory`, where it is mounted. That aborts also where it then refuses because the mount is busy. The last two need
 * root.
 *
 * @throws CinderfsError `fuse_failed` when none works.
 */
export async function abort(minor: number, directory: string | undefined): Promise<void> {
  const request = (folder: string): Promise<void> => writeFile(`${folder}/${minor}/abort`, '1');
  try {
    await request('/sys/fs/fuse/connections').catch(() => withFusectl((own) => request(own).catch(isOver)));
  } catch (error) {
    if (directory === undefined) throw CinderfsError.from(error, 'fuse_failed');
    await force(directory);
  }
}

/** A connection that ended by itself is not there any more. */
function isOver(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}

async function force(directory: string): Promise<void> {
  const args = ['-f', '--', directory];
  await runSystemCommand({ program: 'umount', args, timeoutMs: FORCE_MS }).catch((error: unknown) => {
    if (!/busy/i.test(reasonOf(error))) throw CinderfsError.from(error, 'fuse_failed', { path: directory });
  });
}
