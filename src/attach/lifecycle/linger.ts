import type { Clock } from '../../async/clock.js';

/** The pool's own lease on an attachment that nobody reads: its end is the release. */
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
