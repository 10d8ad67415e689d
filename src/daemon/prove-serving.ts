import { statfs } from 'node:fs/promises';
import type { Clock } from '../async/clock.js';
import { withDeadline } from '../async/deadline.js';
import { CinderfsError, reasonOf } from '../errors.js';

const DEADLINE_MS = 10_000;

/**
 * Asks the file system for its figures through the kernel, which never answers that from its caches as it may a stat: so that READY is said by a mount that answers and by no other
 * (s3fs-fuse#445: "happily starts and backgrounds").
 */
export async function proveServing(mountpoint: string, clock: Clock): Promise<void> {
  const answer = statfs(mountpoint).catch((error: unknown) => {
    throw new CinderfsError(
      'fuse_failed',
      `${mountpoint} was mounted but does not answer: ${reasonOf(error)}`,
      {
        path: mountpoint,
        cause: error,
      },
    );
  });
  await withDeadline(answer, {
    clock,
    ms: DEADLINE_MS,
    onTimeout: () =>
      new CinderfsError('start_timeout', `${mountpoint} was mounted but did not answer a stat in 10 s`, {
        path: mountpoint,
      }),
  });
}
