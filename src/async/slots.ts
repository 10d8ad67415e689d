/**
 * A bulkhead: at most `limit` pieces of work run at a time, first come first served.
 *
 * Work on a hung device cannot be cancelled: the thread that runs it is lost until the device answers. So a slot is
 * given back when its work settles and never earlier, however long ago its waiter left: a hung source can hold
 * `limit` threads of libuv's pool and no more, and everyone else keeps the rest (F4).
 */
export class Slots {
  readonly #limit: number;
  readonly #waiting = new Set<() => void>();
  #running = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Slots in use, those of abandoned work included. */
  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Runs `work` in a slot; a waiter whose signal aborts leaves the queue with the signal's reason. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#enter(signal);
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  /** A slot to keep until the returned function is called (idempotent); waits like run(). */
  async take(signal: AbortSignal): Promise<() => void> {
    await this.#enter(signal);
    let taken = true;
    return () => {
      if (taken) this.#leave();
      taken = false;
    };
  }

  #enter(signal: AbortSignal | undefined): Promise<void> | undefined {
    signal?.throwIfAborted();
    if (this.#running < this.#limit) {
      this.#running += 1;
      return undefined;
    }
    return new Promise((resolve, reject) => {
      const admit = (): void => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.delete(admit);
        reject(signal?.reason as Error);
      };
      this.#waiting.add(admit);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }

  /** Hands the slot to the next in the queue, so that none can overtake. */
  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#running -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
