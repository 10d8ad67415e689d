/**
 * Real time in tests. A test waits for events, or for states (eventually.ts); time itself is for what has neither:
 * silence, a moment that is drawn, a peer that is slow, a bound. test/scripts/test-rules.test.ts keeps every other
 * timer out of the tests.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Teardown } from './undo.js';

const LOOK_MS = 50;

/**
 * Silence has no event: lets `ms` pass, in which `holds` must not throw. `what` is that which does not happen. Fails as
 * soon as it happens.
 */
export async function quietFor(ms: number, what: string, holds: () => unknown): Promise<void> {
  const until = performance.now() + ms;
  for (;;) {
    try {
      await holds();
    } catch (error) {
      throw new Error(`it was not quiet for ${ms} ms: ${what}`, { cause: error });
    }
    const left = until - performance.now();
    if (left <= 0) return;
    await delay(Math.min(LOOK_MS, left));
  }
}

/** `ms` from now: the drawn moment of a kill, the pause of a slow peer. Never the time that something else needs. */
export function moment(ms: number): Promise<void> {
  return delay(ms);
}

/** What `work` comes to, or `late` when it takes longer than `ms`: a bound that is not reached when all is well. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T | 'late'> {
  const over = new AbortController();
  const late = delay(ms, 'late' as const, { signal: over.signal });
  try {
    return await Promise.race([work, late]);
  } finally {
    late.catch(() => undefined);
    over.abort();
  }
}

/** Calls `look` every `ms`, until the returned function is called. */
export function every(ms: number, look: () => unknown): () => void {
  const timer = setInterval(look, ms);
  return () => clearInterval(timer);
}

/** The product's timers keep no process alive; a daemon has its owner lock for that, a test of a part of it this. */
export function stayAwake(test: Teardown): void {
  test.after(every(60_000, () => undefined));
}
