import type { Clock } from '../async/clock.js';
import { withDeadline } from '../async/deadline.js';
import { CinderfsError } from '../errors.js';

/** How long a supervisor waits for an engine, in milliseconds. */

/** An engine that has not begun to serve by then is killed and started again. */
const START_MS = 60_000;
/** For the first engine, which may have to wait for OpenStack, to serve. */
export const FIRST_START_MS = 180_000;
/** For the first engine to undo what it has begun, and for another one to come and end the mount in order. */
export const UNDO_MS = 15_000;
export const NEXT_ENGINE_MS = 10_000;
/** For an engine that was told to end: what it may take for that after it has waited for open files. */
export const ENDING_MS = 120_000;
/** For one to say that it has taken the signal, beyond its drain, and at least: one that says nothing hangs. */
const UNHEARD_MS = 5_000;
const LEAST_UNHEARD_MS = 10_000;
/** After so long without an engine, waiting requests are answered in its place. */
export const FALLBACK_MS = 5_000;

/** For an engine that was told to end to say so. Its readers, which it may serve all the same, get their drain. */
export function unheardWithin(drainMs: number): number {
  return Math.max(drainMs + UNHEARD_MS, LEAST_UNHEARD_MS);
}

/** `serving` within the time for a start; rejects with `start_timeout`. */
export function withinStart<T>(serving: Promise<T>, clock: Clock): Promise<T> {
  return withDeadline(serving, {
    clock,
    ms: START_MS,
    onTimeout: () =>
      new CinderfsError('start_timeout', `the engine did not serve within ${START_MS / 1000} s`),
  });
}
