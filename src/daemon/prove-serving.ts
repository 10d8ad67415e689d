import type { Clock } from '../async/clock.js';
import { withDeadline } from '../async/deadline.js';
import { CinderfsError } from '../errors.js';
import { probeMount } from '../fs/mount/mount-probe.js';

const DEADLINE_MS = 10_000;

/** So that READY is said by a mount that answers and by no other (s3fs-fuse#445: "happily starts and backgrounds"). */
export async function proveServing(mountpoint: string, clock: Clock): Promise<void> {
  const probe = probeMount(mountpoint);
  const complaint = await withDeadline(probe.complaint, {
    clock,
    ms: DEADLINE_MS,
    onTimeout: () => {
      probe.abandon();
      return new CinderfsError(
        'start_timeout',
        `${mountpoint} was mounted but did not answer a stat in ${DEADLINE_MS / 1000} s`,
        { path: mountpoint },
      );
    },
  });
  if (complaint !== undefined)
    throw new CinderfsError('fuse_failed', `${mountpoint} was mounted but does not answer: ${complaint}`, {
      path: mountpoint,
    });
}
