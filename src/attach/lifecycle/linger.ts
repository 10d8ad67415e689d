import type { Clock } from '../../async/clock.js';
import { targetOf } from '../target/choose-target.js';
import type { LiveAttachment } from './live-attachment.js';
import type { WhenUnused } from './state.js';

/** Of one attachment. */
export interface Keeping {
  draining: boolean;
  /** The catalog had the image at this volume when it was last heard of. */
  listed: boolean;
  /** See Pool.settled. */
  readonly settled: () => boolean;
  readonly lingerMs: number;
}

/** What becomes of `held` without a lease. */
export function whenUnused(
  held: LiveAttachment | undefined,
  { draining, settled, listed, lingerMs }: Keeping,
): WhenUnused {
  if (draining) return 'detach';
  if (!settled()) return 'park';
  const lingers = held !== undefined && targetOf(held.record).lingers;
  return listed && lingers && lingerMs > 0 ? 'linger' : 'detach';
}

/** The pool's own lease on an attachment without a reader: its end is the release. */
export class Linger {
  readonly #clock: Clock;
  #cancel: (() => void) | undefined;
  #ends = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  start(ms: number, onEnd: () => void): void {
    this.stop();
    this.#ends = this.#clock.now() + ms;
    this.#cancel = this.#clock.after(ms, () => {
      this.#cancel = undefined;
      onEnd();
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** Milliseconds until the end, or undefined when it does not run. */
  get leftMs(): number | undefined {
    return this.#cancel === undefined ? undefined : Math.max(0, this.#ends - this.#clock.now());
  }
}
