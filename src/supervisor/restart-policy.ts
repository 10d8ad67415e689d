import type { Clock } from '../async/clock.js';

/** An engine that served this long did not die of what it met when it began. */
const LONG_LIFE_MS = 1_000;
const WINDOW_MS = 60_000;
/** Waits after the first short lives; from then on it is a crash loop. */
const QUICK_MS = [0, 50, 100, 200, 400];
const SLOW_MS = [5_000, 10_000, 20_000, 30_000];

export interface Restart {
  /** Milliseconds until the next engine is started. */
  readonly waitMs: number;
  /** Engines die as fast as they are started: the mount stays, but no process serves it between the tries. */
  readonly looping: boolean;
}

/** When an engine that died is started again: at once, unless engines keep dying within a second of serving. */
export class RestartPolicy {
  readonly #clock: Clock;
  #shortLives: number[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `servedMs`: how long the engine that died had served, 0 if it never did. */
  next(servedMs: number): Restart {
    const now = this.#clock.now();
    if (servedMs >= LONG_LIFE_MS) this.#shortLives = [];
    else this.#shortLives.push(now);
    // In a loop the slow tries are far apart: they count however old the first is.
    const looping = this.#shortLives.length > QUICK_MS.length;
    if (!looping) this.#shortLives = this.#shortLives.filter((at) => now - at < WINDOW_MS);
    const slow = this.#shortLives.length - QUICK_MS.length - 1;
    const waits = looping ? SLOW_MS : QUICK_MS;
    const at = looping ? slow : this.#shortLives.length - 1;
    return { waitMs: waits[Math.min(Math.max(at, 0), waits.length - 1)] ?? 0, looping };
  }
}
