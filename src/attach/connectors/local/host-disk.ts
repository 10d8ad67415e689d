import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, open, readdir, realpath, stat } from 'node:fs/promises';
import { sleep, systemClock } from '../../../async/clock.js';
import { CinderfsError, reasonOf } from '../../../errors.js';
import { deviceNumber, sysfsOf } from '../../../sys/devices/block-device.js';
import { kernelText } from '../../../sys/files/kernel-text.js';
import { readMountTable } from '../../../sys/mounts/mount-table.js';

/** Another process that asks as we do holds the claim for a moment. */
const TRIES = 5;
const PAUSE_MS = 20;

/**
 * Resolves where `path` names a block device that this host does not use itself: it is not mounted, not swap, no part of
 * a map, an array or a volume group, and none of its partitions is. Answers with its device number. `connector_failed`
 * otherwise.
 */
export async function requireFreeDisk(path: string): Promise<bigint> {
  const disk = await realpath(path).catch((cause: unknown) => {
    throw refused(path, reasonOf(cause), cause);
  });
  // The links of udev stay in /dev; what is mounted inside of it (shm, mqueue, pts) is shared by all services.
  if (!disk.startsWith('/dev/')) throw refused(path, 'it is not in /dev');
  const [found, dev] = await Promise.all([disk, '/dev'].map((each) => stat(each, { bigint: true })));
  if (found?.isBlockDevice() !== true || found.dev !== dev?.dev)
    throw refused(path, 'it is no block device of this host');
  const user = await userOf(disk, found);
  if (user !== undefined) throw refused(path, `this host uses it itself: ${user}`);
  return found.rdev;
}

/** Opens the disk that was checked, for reading, as requireFreeDisk() does. The caller closes it. */
export async function openFreeDisk(path: string): Promise<FileHandle> {
  const rdev = await requireFreeDisk(path);
  const disk = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
    throw refused(path, reasonOf(cause), cause);
  });
  const found = await disk.stat({ bigint: true });
  if (found.isBlockDevice() && found.rdev === rdev) return disk;
  await disk.close();
  throw refused(path, 'it is another one than the one that was checked');
}

async function userOf(disk: string, { rdev }: BigIntStats): Promise<string | undefined> {
  const holders = await readdir(`${sysfsOf(rdev)}/holders`).catch(() => []);
  if (holders.length > 0) return `by ${holders.join(', ')}`;
  const number = deviceNumber(rdev);
  const mounted = (await readMountTable()).find(({ major, minor }) => `${major}:${minor}` === number);
  if (mounted !== undefined) return `mounted on ${mounted.mountpoint}`;
  const swaps = await kernelText('/proc/swaps');
  if (swaps.split('\n').some((line) => line.split(/\s/)[0] === disk)) return 'for swap';
  return (await isClaimed(disk)) ? 'the kernel holds it or one of its partitions' : undefined;
}

/** O_EXCL asks the kernel whether anything of it is in use, in other mount namespaces as well. */
async function isClaimed(disk: string): Promise<boolean> {
  for (let tries = 1; ; tries++) {
    try {
      await (await open(disk, constants.O_RDONLY | constants.O_EXCL | constants.O_NONBLOCK)).close();
      return false;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw refused(disk, reasonOf(error), error);
      if (tries === TRIES) return true;
      await sleep(systemClock, PAUSE_MS);
    }
  }
}

function refused(path: string, why: string, cause?: unknown): CinderfsError {
  return new CinderfsError('connector_failed', `cannot read the disk ${path}: ${why}`, { path, cause });
}
