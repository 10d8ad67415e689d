import type { Worker } from 'node:worker_threads';
import { reasonOf } from '../../errors.js';
import type { Log } from '../../log.js';
import { Claims } from './claims.js';
import type { InFlight } from './in-flight.js';
import type { Lane } from './read-lanes.js';
import { decodeRequest } from './request.js';
import type { FromWorker, ReadJob, ToWorker } from './worker-messages.js';
import type { WorkerThreads } from './worker-threads.js';

/** One worker thread and what it is doing, as the main thread sees it. */
export interface Seat {
  readonly index: number;
  readonly worker: Worker;
  /** serving: at /dev/fuse. stalled: in a read that does not return. waiting, handed: read-lanes.ts has it. */
  state: 'serving' | 'stalled' | 'waiting' | 'handed';
  /** The read it is in, as stall-watch.ts saw it last. */
  watch?: Watch | undefined;
  /** Since when the read it was handed had waited; its deadline counts from there. */
  handedSince?: number | undefined;
  lane?: Lane | undefined;
}

export interface Watch {
  readonly claim: number;
  /** When it was first seen, and from when its deadline counts. Milliseconds of the clock. */
  readonly seen: number;
  readonly since: number;
  /** The request was answered by the main thread; the worker is still inside. */
  taken: boolean;
}

export interface WorkerPoolParts {
  readonly threads: WorkerThreads;
  readonly fuseFd: number;
  readonly handles: SharedArrayBuffer;
  readonly pieces: SharedArrayBuffer;
  readonly exports: SharedArrayBuffer;
  readonly images: SharedArrayBuffer;
  /** Workers that should be at /dev/fuse at any time. */
  readonly count: number;
  /** Workers there may be, the stalled ones counted. */
  readonly limit: number;
  /** Where requests are kept for the engine after this one, where the kernel does not do that. */
  readonly inFlight: InFlight | undefined;
  readonly log: Log;
  readonly onRequest: (bytes: Buffer) => void;
  readonly onWaiting: (seat: Seat) => void;
  readonly onRefused: (job: ReadJob) => void;
  /** A worker left an image that was withdrawn. */
  readonly onLeftImage: (place: number) => void;
  /** A worker is gone; what it had open is to be closed. */
  readonly onLeft: (seat: number) => void;
  /** A worker died with this request unanswered. */
  readonly onAbandoned: (unique: bigint) => void;
}

/** The worker threads of a mount. Ended when the kernel has let go and every thread that can end has. */
export class WorkerPool {
  readonly claims: Claims;
  readonly ended: Promise<void>;
  readonly #parts: WorkerPoolParts;
  readonly #seats = new Map<number, Seat>();
  #closing = false;
  #crashes = 0;
  #resolveEnded: () => void = () => undefined;

  constructor(parts: WorkerPoolParts) {
    this.#parts = parts;
    this.claims = new Claims(parts.limit);
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
  }

  seats(): IterableIterator<Seat> {
    return this.#seats.values();
  }

  /** Workers at /dev/fuse. */
  get serving(): number {
    return [...this.seats()].filter(({ state }) => state === 'serving').length;
  }

  /** True when stalled workers have left hardly any and no more may be started. */
  get exhausted(): boolean {
    return this.#seats.size >= this.#parts.limit && this.serving <= 1;
  }

  /** Starts workers until enough are serving or the limit is reached. */
  refill(): void {
    while (!this.#closing && this.serving < this.#parts.count && this.#seats.size < this.#parts.limit)
      this.#start();
  }

  /** A worker does not come back from its read: it no longer counts, and the end of the mount does not wait for it. */
  writeOff(seat: Seat): void {
    seat.state = 'stalled';
    if (!this.#closing) return;
    seat.worker.unref();
    this.#settle();
  }

  /** Speaks to a worker that waits. */
  tell(seat: Seat, message: ToWorker): void {
    seat.worker.postMessage(message);
    this.claims.ring(seat.index);
  }

  /** Sends a worker that waits back to /dev/fuse, or home when others have taken its place. */
  dismiss(seat: Seat): void {
    if (this.#closing || this.serving >= this.#parts.count) this.tell(seat, { kind: 'retire' });
    else {
      seat.state = 'serving';
      this.tell(seat, { kind: 'rejoin' });
    }
  }

  #start(): void {
    const index = this.#freeIndex();
    const worker = this.#parts.threads.take({
      fuseFd: this.#parts.fuseFd,
      seat: index,
      claims: this.claims.memory,
      handles: this.#parts.handles,
      pieces: this.#parts.pieces,
      exports: this.#parts.exports,
      images: this.#parts.images,
      seats: this.#parts.limit,
      inFlight: this.#parts.inFlight?.share,
    });
    const seat: Seat = { index, worker, state: 'serving' };
    this.#seats.set(index, seat);
    worker.on('message', (message: FromWorker) => this.#hear(seat, message));
    worker.on('error', (error) =>
      this.#parts.log.error({ worker: index, reason: reasonOf(error) }, 'a worker failed'),
    );
    worker.on('exit', (code) => this.#left(seat, code));
  }

  #freeIndex(): number {
    for (let index = 0; ; index += 1) if (!this.#seats.has(index)) return index;
  }

  #hear(seat: Seat, message: FromWorker): void {
    if (message instanceof Uint8Array) this.#parts.onRequest(bufferOf(message));
    else if (message.kind === 'kept') this.#take(bufferOf(message.bytes), message.slot);
    else if (message.kind === 'waiting') this.#waits(seat, message.answered);
    else if (message.kind === 'refused') this.#parts.onRefused(message.job);
    else if (message.kind === 'left') this.#parts.onLeftImage(message.place);
    else if (message.kind === 'failed')
      this.#parts.log.debug({ ...message }, 'a worker could not read; the main thread tries');
  }

  #take(request: Buffer, slot: number): void {
    const unique = decodeRequest(request)?.unique;
    if (unique !== undefined) this.#parts.inFlight?.took(unique, slot);
    this.#parts.onRequest(request);
  }

  #waits(seat: Seat, answered: bigint | undefined): void {
    if (answered !== undefined) this.#parts.inFlight?.answered(answered);
    this.#parts.onWaiting(seat);
  }

  #left(seat: Seat, code: number): void {
    this.#seats.delete(seat.index);
    this.#parts.onLeft(seat.index);
    const claim = this.claims.current(seat.index);
    const { unique } = this.claims.read(seat.index);
    const left = this.#parts.inFlight?.vacate(seat.index);
    if (claim !== undefined && this.claims.take(seat.index, claim)) this.#parts.onAbandoned(unique);
    else if (left !== undefined) this.#parts.onRequest(left);
    if (code === 0 && seat.state === 'serving') this.#close();
    else if (code !== 0) this.#crashes += 1;
    // A worker that cannot live is not started for ever; the last one's death ends the mount.
    if (this.#crashes > this.#parts.limit) this.#close();
    this.refill();
    this.#settle();
  }

  /** A serving worker ends of its own accord only when the kernel has let go of the mount. */
  #close(): void {
    if (this.#closing) return;
    this.#closing = true;
    for (const seat of this.seats()) {
      if (seat.state === 'waiting') this.tell(seat, { kind: 'retire' });
      // Nobody can end a thread that is inside a read; it must not keep the process.
      if (seat.state === 'stalled' || seat.state === 'handed') seat.worker.unref();
    }
  }

  #settle(): void {
    const bound = [...this.seats()].some(({ state }) => state === 'serving' || state === 'waiting');
    if (this.#closing && !bound) this.#resolveEnded();
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
