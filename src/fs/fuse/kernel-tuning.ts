import { writeFile } from 'node:fs/promises';
import { CinderfsError, reasonOf } from '../../errors.js';
import type { Log } from '../../log.js';
import { findMount } from '../mount-table.js';
import { run } from './mount-command.js';

/**
 * Kilobytes the kernel reads ahead of a buffered reader. A mount starts at 128, which is one short request at a time;
 * at 4096 four requests of 1 MiB are under way (3.2 against 2.0 GB/s, design section 3).
 */
const READ_AHEAD_KB = 4096;

/** Raises the kernel's read-ahead for the mount. Needs root; without it reading is slower and otherwise the same. */
export async function raiseReadAhead(mountpoint: string, log: Log): Promise<void> {
  const mount = await findMount(mountpoint);
  if (mount === undefined) return;
  try {
    await writeFile(`/sys/class/bdi/${mount.major}:${mount.minor}/read_ahead_kb`, String(READ_AHEAD_KB));
  } catch (error) {
    log.debug({ mountpoint, reason: reasonOf(error) }, 'the read-ahead of the mount stays at its default');
  }
}

/**
 * Cuts the connection: every request, answered or not, ends with ECONNABORTED and the mount with ENOTCONN. Through
 * fusectl where it is mounted (it belongs to whoever mounted), else by a forced umount, which needs root and leaves a
 * busy mount in the tree.
 *
 * @throws CinderfsError `fuse_failed` when neither works.
 */
export async function abortConnection(mountpoint: string): Promise<void> {
  const mount = await findMount(mountpoint);
  if (mount === undefined) return;
  try {
    await writeFile(`/sys/fs/fuse/connections/${mount.minor}/abort`, '1');
  } catch {
    await run('umount', ['-f', '--', mountpoint]).catch((error: unknown) => {
      // Aborted all the same; only the mount point is still held.
      if (!/busy/i.test(reasonOf(error))) throw CinderfsError.from(error, 'fuse_failed');
    });
  }
}
