import type { Clock } from '../../async/clock.js';
import { systemCalls } from './system-calls.js';

/** Milliseconds after which what a start or a burst of work has freed is given back. */
const FIRST_MS = 500;
const EACH_MS = 60_000;

/**
 * Gives memory back that malloc keeps though it is free: the JIT compiler of V8 alone leaves some 10 MiB in the arena of
 * its thread. Soon, and every minute from then on, for the life of this process; nothing without koffi.
 */
export function keepHeapTrimmed(clock: Clock, ms = FIRST_MS): void {
  clock.after(ms, () => {
    void systemCalls()
      ?.trimHeap()
      .then(() => keepHeapTrimmed(clock, EACH_MS));
  });
}
