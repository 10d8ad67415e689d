import { CinderfsError } from '../errors.js';
import type { Clock } from './clock.js';

/** How long a wait may last and what becomes of a result that comes too late. */
export interface Wait<T> {
  readonly clock: Clock;
  readonly ms: number;
  /** The error a waiter gets at the deadline. */
  readonly onTimeout: () => CinderfsError;
  /** The waiter's own wish to leave (FUSE INTERRUPT, shutdown). */
  readonly signal?: AbortSignal | undefined;
  /** Owns a result that arrives after the waiter has left: the late-arrival rule. */
  readonly onLate?: (value: T) => void;
}

/**
 * Waits for `work` until it settles, the deadline passes or the signal aborts.
 *
 * Invariant: exactly one of {returned, thrown, onLate} happens to a fulfilled result; nothing is dropped. The
 * work itself is not cancelled: its caller decides that.
 */
export function withDeadline<T>(work: Promise<T>, wait: Wait<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    let left = false;
    const leave = (reason: unknown): void => {
      left = true;
      done();
      reject(reason instanceof Error ? reason : CinderfsError.from(reason, 'interrupted'));
    };
    const onAbort = (): void =>
      leave(new CinderfsError('interrupted', 'the caller gave up', { cause: wait.signal?.reason }));
    const stop = wait.clock.after(wait.ms, () => leave(wait.onTimeout()));
    const done = (): void => {
      stop();
      wait.signal?.removeEventListener('abort', onAbort);
    };
    work.then(
      (value) => {
        if (left) {
          wait.onLate?.(value);
          return;
        }
        done();
        resolve(value);
      },
      (error: unknown) => {
        if (!left) leave(error);
      },
    );
    if (wait.signal?.aborted === true) onAbort();
    else wait.signal?.addEventListener('abort', onAbort, { once: true });
  });
}
