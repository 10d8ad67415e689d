import { type Clock, sleep } from './clock.js';

export interface HedgeOptions {
  readonly clock: Clock;
  /** Another attempt joins those under way this long after the last, in milliseconds. */
  readonly everyMs: number;
  /** For all of them together. */
  readonly totalMs: number;
}

/**
 * The first attempt that ends, well or badly; the others are given up then. For calls that may be repeated and whose
 * answer may never come although a new call would be answered at once.
 */
export async function hedged<T>(
  attempt: (deadlineMs: number, signal: AbortSignal) => Promise<T>,
  { clock, everyMs, totalMs }: HedgeOptions,
): Promise<T> {
  const end = clock.now() + totalMs;
  const over = new AbortController();
  const attempts: Promise<{ readonly value: T }>[] = [];
  try {
    for (;;) {
      const running = attempt(end - clock.now(), over.signal).then((value) => ({ value }));
      // Failures of the other attempts are ignored.
      running.catch(() => undefined);
      attempts.push(running);
      const ms = end - clock.now() > everyMs ? everyMs : totalMs + everyMs;
      const pause = sleep(clock, ms, over.signal).catch(() => undefined);
      const first = await Promise.race([...attempts, pause]);
      if (first !== undefined) return first.value;
    }
  } finally {
    over.abort();
  }
}
