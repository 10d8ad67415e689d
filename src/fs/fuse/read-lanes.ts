import type { Clock } from '../../async/clock.js';
import type { Log } from '../../log.js';
import { followCaller } from './caller-signals.js';
import type { Descriptor, Descriptors } from './descriptors.js';
import type { ReplyErrno } from './errno.js';
import type { OpenFiles } from './open-files.js';
import type { ReadJob } from './worker-messages.js';
import type { Seat, WorkerPool } from './worker-pool.js';

interface QueuedRead {
  readonly job: ReadJob;
  /** When it came, on the clock. */
  readonly since: number;
}

/** One stalled source: the workers inside its reads, those that came back, and the reads that wait for one. */
export interface Lane {
  readonly descriptor: Descriptor | undefined;
  readonly stalled: Set<Seat>;
  readonly waiting: Seat[];
  readonly queue: QueuedRead[];
}

export interface ReadLanesParts {
  readonly pool: WorkerPool;
  readonly files: OpenFiles;
  readonly descriptors: Descriptors;
  readonly clock: Clock;
  readonly log: Log;
  readonly readTimeoutMs: number;
  readonly answer: (read: Pick<ReadJob, 'unique' | 'fh'>, errno: ReplyErrno) => void;
  /** Serves a read on the main thread: its source is well again and no worker waits for it. */
  readonly onOrphan: (job: ReadJob) => void;
}

/**
 * Isolation. Workers read optimistically, so a source that stops answering takes the workers that meet it. Then its
 * further reads queue here, where they cost no thread, and replacements are started for the workers inside. A worker
 * that comes back serves the queue, one read at a time; when none is missing any more, the source is normal again.
 */
export class ReadLanes {
  readonly #parts: ReadLanesParts;
  readonly #lanes = new Map<Descriptor, Lane>();

  constructor(parts: ReadLanesParts) {
    this.#parts = parts;
  }

  /** Stalled sources that somebody has open. */
  get size(): number {
    return this.#lanes.size;
  }

  /** A worker does not come back from a read of `fh`. */
  stalled(seat: Seat, fh: number): void {
    const { files, log, pool } = this.#parts;
    const descriptor = files.get(fh)?.descriptor;
    const lane = this.#laneFor(seat, descriptor);
    lane.stalled.add(seat);
    if (descriptor !== undefined) files.setStalled(descriptor, true);
    log.warn({ path: descriptor?.path, worker: seat.index }, 'a source does not answer; its reads queue');
    pool.refill();
    this.#guard();
  }

  /**
   * A worker may stall in a read it was handed by a lane that has recovered since: then what is left of that lane joins
   * the one that reads of the source are queued in now.
   */
  #laneFor(seat: Seat, descriptor: Descriptor | undefined): Lane {
    const before = seat.lane;
    const lane = descriptor === undefined && before !== undefined ? before : this.#laneOf(descriptor);
    if (before !== undefined && before !== lane) lane.queue.push(...before.queue.splice(0));
    seat.lane = lane;
    return lane;
  }

  /** A stalled worker answered by itself and is at /dev/fuse again. */
  back(seat: Seat): void {
    const { lane } = seat;
    seat.state = 'serving';
    seat.lane = undefined;
    seat.watch = undefined;
    lane?.stalled.delete(seat);
    if (lane !== undefined) this.#pump(lane);
  }

  /** A worker is back from a stalled read, or done with one it was handed, and waits for a message. */
  waiting(seat: Seat): void {
    const { lane } = seat;
    seat.watch = undefined;
    seat.handedSince = undefined;
    seat.state = 'waiting';
    if (lane === undefined) {
      this.#parts.pool.dismiss(seat);
      return;
    }
    lane.stalled.delete(seat);
    lane.waiting.push(seat);
    this.#pump(lane);
  }

  /** Queues a read of a source that does not answer. False: it does; the read is still the caller's. */
  enqueue(descriptor: Descriptor, job: ReadJob, now: number): boolean {
    const lane = this.#lanes.get(descriptor);
    if (lane === undefined) return false;
    lane.queue.push({ job, since: now });
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
  }

  #queued(unique: bigint): QueuedRead | undefined {
    return [...this.#lanes.values()].flatMap(({ queue }) => queue).find(({ job }) => job.unique === unique);
  }

  #drop(which: (read: QueuedRead) => boolean, errno: ReplyErrno): void {
    for (const { queue } of this.#lanes.values()) {
      const gone = queue.filter(which);
      if (gone.length === 0) continue;
      queue.splice(0, queue.length, ...queue.filter((read) => !which(read)));
      for (const { job } of gone) this.#parts.answer(job, errno);
    }
  }

  /**
   * The lane of a source. It holds the descriptor: whoever closes and opens a dead source again must meet the same
   * lane, not cost one more worker.
   */
  #laneOf(descriptor: Descriptor | undefined): Lane {
    const known = descriptor === undefined ? undefined : this.#lanes.get(descriptor);
    if (known !== undefined) return known;
    const lane = { descriptor, stalled: new Set<Seat>(), waiting: [], queue: [] };
    if (descriptor !== undefined) {
      this.#lanes.set(descriptor, lane);
      this.#parts.descriptors.hold(descriptor);
    }
    return lane;
  }

  #pump(lane: Lane): void {
    const { pool } = this.#parts;
    if (lane.stalled.size === 0) this.#recover(lane);
    while (lane.waiting.length > 0 && lane.queue.length > 0) {
      const [seat, read] = [lane.waiting.shift(), lane.queue.shift()];
      if (seat === undefined || read === undefined) return;
      seat.state = 'handed';
      seat.handedSince = read.since;
      pool.tell(seat, { kind: 'read', job: read.job });
    }
    if (lane.stalled.size > 0) return;
    for (const seat of lane.waiting.splice(0)) {
      seat.lane = undefined;
      pool.dismiss(seat);
    }
  }

  /** Nobody is missing: new reads go to the workers; what is queued goes to those who came back, or to the main thread. */
  #recover(lane: Lane): void {
    const { descriptor } = lane;
    if (descriptor !== undefined && this.#lanes.delete(descriptor)) {
      this.#parts.files.setStalled(descriptor, false);
      this.#parts.descriptors.release(descriptor);
      this.#parts.log.info({ path: descriptor.path }, 'the source answers again');
      this.#guard();
    }
    if (lane.waiting.length === 0) for (const { job } of lane.queue.splice(0)) this.#parts.onOrphan(job);
  }

  /** With no worker to spare, nobody reads optimistically any more: metadata must stay alive. */
  #guard(): void {
    this.#parts.files.setCautious(this.#parts.pool.exhausted);
  }
}
