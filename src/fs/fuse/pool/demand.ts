import type { PoolWorker } from './pool-worker.js';

/** Looks (StallWatch ticks) in a row at which every worker was in a read before another worker is worth its memory. */
const LOOKS = 4;

/**
 * Whether a mount needs more workers than it started with: each takes 10 MiB, and most mounts are idle most of the time.
 * A worker in a read that does not return is no sign of load: stalled-reads.ts replaces it.
 */
export class Demand {
  #looks = 0;

  /** One look, at `now`, after every worker was inspected. True when one more worker is to be started. */
  look(workers: Iterable<Pick<PoolWorker, 'state' | 'watch'>>, now: number): boolean {
    const serving = [...workers].filter(({ state }) => state === 'serving');
    const busy = serving.length > 0 && serving.every(({ watch }) => watch?.seen === now);
    this.#looks = busy ? this.#looks + 1 : 0;
    return this.#looks >= LOOKS;
  }
}
