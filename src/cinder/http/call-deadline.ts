import type { Clock } from '../../async/clock.js';
import { CinderfsError } from '../../errors.js';

/** The time one call has, all its attempts together, and the caller's wish to leave, as one signal. */
export class Deadline {
  readonly #clock: Clock;
  readonly #end: number;
  readonly #ms: number;
  readonly #caller: AbortSignal | undefined;
  readonly #controller = new AbortController();
  readonly #stop: () => void;
  // The clock's timers do not keep the process alive; a caller that waits for an answer, or for the pause before the
  // next attempt, does. Never fires.
  readonly #alive = setInterval(() => undefined, 2 ** 30);
  readonly #onAbort = (): void => this.#controller.abort(this.#caller?.reason);

  constructor(clock: Clock, ms: number, caller: AbortSignal | undefined) {
    this.#clock = clock;
    this.#ms = ms;
    this.#end = clock.now() + ms;
    this.#caller = caller;
    this.#stop = clock.after(ms, () => this.#controller.abort());
    if (caller?.aborted === true) this.#onAbort();
    else caller?.addEventListener('abort', this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get over(): boolean {
    return this.signal.aborted;
  }

  get leftMs(): number {
    return Math.max(0, this.#end - this.#clock.now());
  }

  /** What the caller is told once the call is over: `interrupted` if it left, else `http_timeout`; `last` is what the call died of. */
  explain(last: CinderfsError): CinderfsError {
    const context = { ...last.context, cause: last };
    if (this.#caller?.aborted === true) {
      return new CinderfsError('interrupted', 'the caller gave up waiting for OpenStack', context);
    }
    return new CinderfsError(
      'http_timeout',
      `no answer within ${Math.round(this.#ms / 100) / 10} s: ${last.message}`,
      context,
    );
  }

  /** Must be called when the call is over: frees the timer and the caller's listener. */
  end(): void {
    this.#stop();
    clearInterval(this.#alive);
    this.#caller?.removeEventListener('abort', this.#onAbort);
  }
}
