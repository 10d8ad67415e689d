import type { Clock } from '../../../async/clock.js';
import { followCaller } from '../protocol/caller-signals.js';
import type { ClaimedRead } from '../shared/reply-ownership.js';
import type { ReplyErrno } from '../protocol/errno.js';
import type { ReadAges } from '../recovery/read-ages.js';
import type { PoolWorker, Watch } from './pool-worker.js';
import type { WorkerPool } from './worker-pool.js';

/** Milliseconds in one read after which a worker counts as stalled. */
const STALL_MS = 200;
const TICK_MS = 50;

export interface StallWatchParts {
  readonly pool: WorkerPool;
  readonly clock: Clock;
  readonly readTimeoutMs: number;
  /** A worker does not come back from a read of `fh`. */
  readonly onStalled: (poolWorker: PoolWorker, fh: number) => void;
  /** A stalled worker answered its read after all and went on. */
  readonly onBack: (poolWorker: PoolWorker) => void;
  /** A stalled read, which has waited since then, was taken from its worker; this answers it. */
  readonly answer: (read: ClaimedRead, errno: ReplyErrno, since: number) => void;
  readonly ages: ReadAges;
  /** ... and the worker is still inside: frees it, where something can. */
  readonly release: (poolWorker: PoolWorker, fh: number) => void;
  /** After each round, with the time. */
  readonly onTick: (now: number) => void;
  /** Whether there is anything to watch; arm() starts it again. */
  readonly needed: () => boolean;
}

/** Looks at what each worker is reading, a few times a second: finds those that do not come back, enforces deadlines. */
export class StallWatch {
  readonly #parts: StallWatchParts;
  readonly #leaving = new Set<bigint>();
  #stop: (() => void) | undefined;

  constructor(parts: StallWatchParts) {
    this.#parts = parts;
  }

  /** Starts watching, if it does not yet. */
  arm(): void {
    this.#stop ??= this.#parts.clock.after(TICK_MS, () => {
      this.#stop = undefined;
      this.#tick(this.#parts.clock.now());
      if (this.#parts.needed()) this.arm();
    });
  }

  close(): void {
    this.#stop?.();
  }

  /**
   * The caller of `unique` was interrupted. If it means to leave, that is honoured once its read has stalled: a signal
   * must not cut short the reads of a regular file that are about to be answered. False: no worker is reading for it.
   */
  interrupt(unique: bigint): boolean {
    const read = this.#reading(unique);
    if (read === undefined) return false;
    followCaller(read.pid, {
      clock: this.#parts.clock,
      patienceMs: STALL_MS,
      waits: () => this.#reading(unique) !== undefined,
      leaves: () => void this.#leaving.add(unique),
    });
    return true;
  }

  #reading(unique: bigint): ClaimedRead | undefined {
    const { claims } = this.#parts.pool;
    return [...this.#parts.pool.workers()]
      .filter(({ index }) => claims.current(index) !== undefined)
      .map(({ index }) => claims.read(index))
      .find((read) => read.unique === unique);
  }

  #tick(now: number): void {
    const reading = new Set<bigint>();
    for (const poolWorker of this.#parts.pool.workers()) {
      this.#inspect(poolWorker, now);
      reading.add(this.#parts.pool.claims.read(poolWorker.index).unique);
    }
    for (const unique of this.#leaving) if (!reading.has(unique)) this.#leaving.delete(unique);
    this.#parts.onTick(now);
  }

  #inspect(poolWorker: PoolWorker, now: number): void {
    const claim = this.#parts.pool.claims.current(poolWorker.index);
    if (poolWorker.state === 'stalled') this.#inspectStalled(poolWorker, claim, now);
    else if (claim === undefined) poolWorker.watch = undefined;
    else if (poolWorker.watch?.claim !== claim) poolWorker.watch = this.#watchOf(poolWorker, claim, now);
    else if (now - poolWorker.watch.seen >= Math.min(STALL_MS, this.#parts.readTimeoutMs))
      this.#stalled(poolWorker);
  }

  #watchOf({ index, handed }: PoolWorker, claim: number, now: number): Watch {
    const { pool, ages } = this.#parts;
    const read = pool.claims.read(index);
    const { unique } = read;
    const since = handed?.job.unique === unique ? handed.since : ages.sinceOf(read, now);
    return { claim, unique, seen: now, since, taken: false };
  }

  #stalled(poolWorker: PoolWorker): void {
    const { claims } = this.#parts.pool;
    // One that was handed its read reports by itself when done.
    if (poolWorker.state === 'serving') claims.recall(poolWorker.index);
    this.#parts.pool.writeOff(poolWorker);
    this.#parts.onStalled(poolWorker, claims.read(poolWorker.index).fh);
  }

  #inspectStalled(poolWorker: PoolWorker, claim: number | undefined, now: number): void {
    const { claims } = this.#parts.pool;
    const { watch } = poolWorker;
    if (watch === undefined || watch.taken) return;
    if (claim !== watch.claim) {
      this.#parts.onBack(poolWorker);
      return;
    }
    const read = claims.read(poolWorker.index);
    const { unique, fh } = read;
    const errno = now - watch.since >= this.#parts.readTimeoutMs ? 'ETIMEDOUT' : 'EINTR';
    if (errno === 'EINTR' && !this.#leaving.has(unique)) return;
    if (!claims.win(poolWorker.index, claim)) return;
    watch.taken = true;
    claims.settle(poolWorker.index);
    this.#parts.answer(read, errno, watch.since);
    this.#parts.release(poolWorker, fh);
  }
}
