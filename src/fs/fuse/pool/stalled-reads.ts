import type { Clock } from '../../../async/clock.js';
import type { Log } from '../../../log.js';
import { followCaller } from '../protocol/caller-signals.js';
import type { Descriptor, Descriptors } from '../files/descriptors.js';
import type { ReplyErrno } from '../protocol/errno.js';
import type { OpenFiles } from '../files/open-files.js';
import type { StalledQueue, QueuedRead, PoolWorker } from './pool-worker.js';
import type { ReadJob } from '../worker/messages.js';
import type { WorkerPool } from './worker-pool.js';

export interface ReadLanesParts {
  readonly pool: WorkerPool;
  readonly files: Pick<OpenFiles, 'get' | 'setStalled' | 'setDegraded'>;
  readonly descriptors: Pick<Descriptors, 'hold' | 'release'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly readTimeoutMs: number;
  readonly answer: (read: ReadJob, errno: ReplyErrno, since: number) => void;
  /** Serves a read on the main thread: its source is well again and no worker is left for it. */
  readonly onOrphan: (read: QueuedRead) => void;
}

/**
 * Isolation. Workers read optimistically, so a source that stops answering takes the workers that meet it. Then its
 * further reads queue here, where they cost no thread, and replacements are started for the workers inside. A worker
 * that comes back serves the queue, one read at a time; when none is missing any more, the source is normal again.
 */
export class StalledReads {
  readonly #parts: ReadLanesParts;
  readonly #lanes = new Map<Descriptor, StalledQueue>();
  /** Lanes of sources that answer again, whose queue is not empty yet. */
  readonly #recovered = new Set<StalledQueue>();

  constructor(parts: ReadLanesParts) {
    this.#parts = parts;
  }

  /** Stalled sources, and those that are well again with reads still queued. */
  get size(): number {
    return this.#lanes.size + this.#recovered.size;
  }

  /** A worker does not come back from a read of `fh`. */
  stalled(poolWorker: PoolWorker, fh: number): void {
    const { files, log } = this.#parts;
    const descriptor = files.get(fh)?.descriptor;
    const lane = this.#laneFor(poolWorker, descriptor);
    lane.stalled.add(poolWorker);
    if (descriptor !== undefined) files.setStalled(descriptor, true);
    log.warn(
      { source: descriptor?.name, worker: poolWorker.index },
      'storage not responding; queueing reads of this volume',
    );
    this.#refill();
  }

  /** A worker is gone. What it was handed and had not begun is read by others, and nothing waits for it any more. */
  left(poolWorker: PoolWorker): void {
    const { lane, handed } = poolWorker;
    const begun = this.#parts.pool.claims.read(poolWorker.index).unique === handed?.job.unique;
    if (handed !== undefined && !begun) this.#parts.onOrphan(handed);
    if (lane !== undefined) {
      this.#leave(poolWorker, lane);
      this.#pump(lane);
    }
    this.#refill();
  }

  /**
   * A worker may stall in a read it was handed by a queue that has recovered since: then what is left of that queue joins
   * the one that reads of the source are queued in now.
   */
  #laneFor(poolWorker: PoolWorker, descriptor: Descriptor | undefined): StalledQueue {
    const before = poolWorker.lane;
    const lane = descriptor === undefined && before !== undefined ? before : this.#laneOf(descriptor);
    if (before !== undefined && before !== lane) {
      this.#leave(poolWorker, before);
      lane.queue.push(...before.queue.splice(0));
      this.#pump(before);
    }
    lane.handed.delete(poolWorker);
    poolWorker.lane = lane;
    return lane;
  }

  /** A stalled worker answered by itself and is at /dev/fuse again. */
  back(poolWorker: PoolWorker): void {
    const { lane } = poolWorker;
    poolWorker.state = 'serving';
    poolWorker.lane = undefined;
    poolWorker.watch = undefined;
    if (lane === undefined) return;
    this.#leave(poolWorker, lane);
    this.#pump(lane);
  }

  /** A worker is back from a stalled read, or done with one it was handed, and waits for a message. */
  waiting(poolWorker: PoolWorker): void {
    const { lane } = poolWorker;
    poolWorker.watch = undefined;
    poolWorker.handed = undefined;
    poolWorker.state = 'waiting';
    if (lane === undefined) {
      this.#parts.pool.dismiss(poolWorker);
      return;
    }
    this.#leave(poolWorker, lane);
    lane.waiting.add(poolWorker);
    this.#pump(lane);
  }

  /** Queues a read of a source that does not answer. False: it does; the read is still the caller's. */
  enqueue(descriptor: Descriptor, read: QueuedRead): boolean {
    const lane = this.#lanes.get(descriptor);
    if (lane === undefined) return false;
    lane.queue.push(read);
    this.#pump(lane);
    return true;
  }

  /** The caller of a queued read was interrupted: ends it if the caller means to leave. False: it is not queued. */
  interrupt(unique: bigint): boolean {
    const read = this.#queued(unique);
    if (read === undefined) return false;
    followCaller(read.job.pid, {
      clock: this.#parts.clock,
      patienceMs: 0,
      waits: () => this.#queued(unique) !== undefined,
      leaves: () => this.#drop(({ job }) => job.unique === unique, 'EINTR'),
    });
    return true;
  }

  /** Ends the queued reads whose deadline has passed. */
  expire(now: number): void {
    this.#drop(({ since }) => now - since >= this.#parts.readTimeoutMs, 'ETIMEDOUT');
    // Workers may have died, or come home, since it was looked at.
    this.#guard();
  }

  #queued(unique: bigint): QueuedRead | undefined {
    return this.#all()
      .flatMap(({ queue }) => queue)
      .find(({ job }) => job.unique === unique);
  }

  #drop(which: (read: QueuedRead) => boolean, errno: ReplyErrno): void {
    for (const { queue } of this.#all()) {
      const gone = queue.filter(which);
      if (gone.length === 0) continue;
      queue.splice(0, queue.length, ...queue.filter((read) => !which(read)));
      for (const { job, since } of gone) this.#parts.answer(job, errno, since);
    }
    for (const lane of this.#recovered) if (lane.queue.length === 0) this.#recovered.delete(lane);
  }

  #all(): StalledQueue[] {
    return [...this.#lanes.values(), ...this.#recovered];
  }

  #leave(poolWorker: PoolWorker, lane: StalledQueue): void {
    lane.stalled.delete(poolWorker);
    lane.waiting.delete(poolWorker);
    lane.handed.delete(poolWorker);
  }

  /**
   * The queue of a source. It holds the descriptor: a close and a new open of a dead source must meet the same
   * queue, not cost one more worker.
   */
  #laneOf(descriptor: Descriptor | undefined): StalledQueue {
    const known = descriptor === undefined ? undefined : this.#lanes.get(descriptor);
    if (known !== undefined) return known;
    const workers = {
      stalled: new Set<PoolWorker>(),
      waiting: new Set<PoolWorker>(),
      handed: new Set<PoolWorker>(),
    };
    const lane = { descriptor, ...workers, queue: [] };
    if (descriptor !== undefined) {
      this.#lanes.set(descriptor, lane);
      this.#parts.descriptors.hold(descriptor);
    }
    return lane;
  }

  #pump(lane: StalledQueue): void {
    if (lane.stalled.size === 0) this.#recover(lane);
    for (const poolWorker of lane.waiting) {
      const read = lane.queue.shift();
      if (read === undefined) break;
      this.#hand(poolWorker, lane, read);
    }
    if (lane.stalled.size > 0) return;
    // No worker is left to empty it.
    if (lane.waiting.size + lane.handed.size === 0)
      for (const read of lane.queue.splice(0)) this.#parts.onOrphan(read);
    if (lane.queue.length > 0) this.#recovered.add(lane);
    else this.#recovered.delete(lane);
    for (const poolWorker of lane.waiting) this.#dismiss(poolWorker, lane);
  }

  #hand(poolWorker: PoolWorker, lane: StalledQueue, read: QueuedRead): void {
    lane.waiting.delete(poolWorker);
    lane.handed.add(poolWorker);
    poolWorker.state = 'handed';
    poolWorker.handed = read;
    this.#parts.pool.tell(poolWorker, { kind: 'read', job: read.job });
  }

  #dismiss(poolWorker: PoolWorker, lane: StalledQueue): void {
    lane.waiting.delete(poolWorker);
    poolWorker.lane = undefined;
    this.#parts.pool.dismiss(poolWorker);
  }

  /** No worker is missing: new reads of the source go to the workers again. */
  #recover(lane: StalledQueue): void {
    const { descriptor } = lane;
    // The source may have stalled again since: then its queue is another one.
    if (descriptor === undefined || this.#lanes.get(descriptor) !== lane) return;
    this.#lanes.delete(descriptor);
    this.#parts.files.setStalled(descriptor, false);
    this.#parts.descriptors.release(descriptor);
    this.#parts.log.info({ source: descriptor.name }, 'storage answers again');
    this.#guard();
  }

  /** In one turn of the event loop: the worker in the last place must find that none reads optimistically. */
  #refill(): void {
    this.#parts.pool.refill();
    this.#guard();
  }

  /** Without a spare worker, no worker reads inline any more: metadata must be answered. */
  #guard(): void {
    this.#parts.files.setDegraded(this.#parts.pool.exhausted);
  }
}
