import type { Clock } from '../../async/clock.js';
import { withDeadline } from '../../async/deadline.js';
import { CinderfsError } from '../../errors.js';

/** How long a caller waits, and for what. */
export interface Patience {
  readonly clock: Clock;
  readonly ms: number;
  readonly signal: AbortSignal | undefined;
  /** The volume, for the error at the deadline. */
  readonly volume: string;
}

interface Waiter<T> {
  readonly grant: (value: T) => void;
  readonly refuse: (error: unknown) => void;
}

/** Waiters for one result that settles all of them at once. */
export class Waiters<T> {
  #waiting = new Set<Waiter<T>>();

  get size(): number {
    return this.#waiting.size;
  }

  /** Joins. `onLeave` is told if the wait ends before an answer; `onLate` owns what was granted after its waiter left. */
  async join(patience: Patience, onLeave: () => void, onLate: (value: T) => void): Promise<T> {
    let waiter: Waiter<T> | undefined;
    const answer = new Promise<T>((grant, refuse) => {
      waiter = { grant, refuse };
      this.#waiting.add(waiter);
    });
    try {
      return await waitFor(answer, patience, onLate);
    } catch (error) {
      if (waiter !== undefined && this.#waiting.delete(waiter)) onLeave();
      throw error;
    }
  }

  /** Empties the waiting room; the result answers its waiters. */
  takeAll(): readonly Waiter<T>[] {
    const taken = [...this.#waiting];
    this.#waiting = new Set();
    return taken;
  }
}

/** `work`, for as long as the patience lasts: then `attach_timeout` or `interrupted`. */
export function waitFor<T>(work: Promise<T>, patience: Patience, onLate: (value: T) => void): Promise<T> {
  const { clock, ms, signal, volume } = patience;
  return withDeadline(work, {
    clock,
    ms,
    signal,
    onLate,
    onTimeout: () =>
      new CinderfsError('attach_timeout', `volume ${volume} was not attached in time`, { volume }),
  });
}
