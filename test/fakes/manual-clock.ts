import type { Clock } from '../../src/async/clock.js';

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

/** Time that stands still until a test moves it. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.#now;
  }

  uptime(): number {
    return this.now();
  }

  wall(): number {
    return 1_800_000_000_000 + this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** When the next timer fires, or undefined when none waits. */
  get nextAt(): number | undefined {
    return this.#timers.size === 0 ? undefined : Math.min(...[...this.#timers].map(({ at }) => at));
  }

  /** Moves to the next timer and fires it (with those of the same instant). False when none waits. */
  fireNext(): boolean {
    const at = this.nextAt;
    if (at === undefined) return false;
    this.#now = Math.max(this.#now, at);
    for (const timer of [...this.#timers].filter((due) => due.at <= this.#now)) {
      // One that fired before may have cancelled it.
      if (this.#timers.delete(timer)) timer.callback();
    }
    return true;
  }

  /** Lets `ms` pass: timers fire in order, and what they set in motion runs before the next. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    while ((this.nextAt ?? Infinity) <= end) {
      this.fireNext();
      await settle();
    }
    this.#now = end;
    await settle();
  }
}

/** Lets everything that is ready run: promises, and callbacks of the event loop. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** One turn of the event loop: what waits for promises only has run then. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
