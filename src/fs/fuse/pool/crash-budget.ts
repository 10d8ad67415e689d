import type { Clock } from '../../../async/clock.js';

export interface CrashBudgetParts {
  readonly clock: Clock;
  /** Crashes that are borne at a time. */
  readonly limit: number;
  /** Milliseconds after which one of them is forgiven. */
  readonly forgiveMs: number;
}

/** Tells a crash now and then, over the life of a mount, from an engine that cannot live. */
export class CrashBudget {
  readonly #parts: CrashBudgetParts;
  #crashes = 0;
  #at: number;

  constructor(parts: CrashBudgetParts) {
    this.#parts = parts;
    this.#at = parts.clock.now();
  }

  /** Counts one more crash; false when there were too many in too short a time. */
  spend(): boolean {
    const { clock, limit, forgiveMs } = this.#parts;
    const now = clock.now();
    this.#crashes = Math.max(0, this.#crashes - (now - this.#at) / forgiveMs) + 1;
    this.#at = now;
    return this.#crashes <= limit;
  }
}
