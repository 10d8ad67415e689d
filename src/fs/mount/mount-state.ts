import { keepProcessAlive } from '../../async/keep-process-alive.js';
import { sleep, systemClock } from '../../async/clock.js';
import { probeMount } from './mount-probe.js';

/** `dead`: its server is gone for good. `silent`: no answer in time; an engine may be starting. */
export type MountState = 'serving' | 'dead' | 'silent';

/** Milliseconds that a mount may take to answer. */
const ANSWER_MS = 3_000;

/** Asks the mount at `mountpoint` through the kernel; never waits longer than for a few seconds. */
export async function stateOfMount(mountpoint: string, answerMs = ANSWER_MS): Promise<MountState> {
  const probe = probeMount(mountpoint);
  const giveUp = new AbortController();
  try {
    const late = sleep(systemClock, answerMs, giveUp.signal).then(() => 'late' as const);
    late.catch(() => undefined);
    const complaint = await keepProcessAlive(() => Promise.race([probe.complaint, late]));
    if (complaint === undefined) return 'serving';
    // ECONNABORTED: it died while it was asked.
    return /not connected|connection abort/i.test(complaint) ? 'dead' : 'silent';
  } finally {
    giveUp.abort();
    probe.abandon();
  }
}
