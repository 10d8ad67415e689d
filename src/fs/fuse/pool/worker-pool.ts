import type { Clock } from '../../../async/clock.js';
import { CinderfsError, reasonOf } from '../../../errors.js';
import type { Log } from '../../../log.js';
import { ReplyOwnership } from '../shared/reply-ownership.js';
import type { CrashBudget } from './crash-budget.js';
import type { InFlight } from '../recovery/in-flight.js';
import type { WorkerChannelHandle } from '../channel/worker-channel.js';
import type { WorkerHalf } from '../../../sources/mount-sources.js';
import { decodeRequest } from '../protocol/request.js';
import type { QueuedRead, PoolWorker } from './pool-worker.js';
import type { FromWorker, ReadJob, ToWorker } from '../worker/messages.js';
import type { OpenOutcome } from '../worker/opens.js';
import type { WorkerThreads } from './worker-threads.js';

export interface WorkerPoolParts {
  readonly threads: Pick<WorkerThreads, 'take'>;
  readonly clock: Clock;
  readonly crashes: CrashBudget;
  readonly channel: WorkerChannelHandle;
  readonly handles: SharedArrayBuffer;
  readonly opens: SharedArrayBuffer;
  readonly pieces: SharedArrayBuffer;
  /** What each worker loads to read sources. */
  readonly sources: readonly WorkerHalf[];
  /** Workers that should be at /dev/fuse at any time. */
  readonly count: number;
  /** The same once all of them have much to do (widen); as many as `count` by default. */
  readonly most?: number | undefined;
  /** Workers there may be, the stalled ones counted. */
  readonly limit: number;
  /** Where requests are kept for the engine after this one, where the kernel does not do that. */
  readonly inFlight: InFlight | undefined;
  readonly log: Log;
  /** A request that its worker does not answer; it came at `since`. */
  readonly onRequest: (bytes: Buffer, since: number) => void;
  readonly onWaiting: (poolWorker: PoolWorker) => void;
  readonly onRefused: (read: QueuedRead) => void;
  /** The worker half of a kind of source has something to say to its main half. */
  readonly onSource: (kind: number, message: number) => void;
  /** A worker took an open that was prepared; what became of it. */
  readonly onOpened: (slot: number, outcome: OpenOutcome) => void;
  /** A worker is gone; what it had open is to be closed, what it was handed is to be read by another worker. */
  readonly onLeft: (poolWorker: PoolWorker) => void;
  /** A worker died with this request unanswered. */
  readonly onAbandoned: (unique: bigint) => void;
  /** Workers die again and again: this process cannot serve the mount any more. Called once. */
  readonly onSpent: (error: CinderfsError) => void;
}

/** The worker threads of a mount. Ended when the kernel has let go and every thread that can end has. */
export class WorkerPool {
  readonly claims: ReplyOwnership;
  readonly ended: Promise<void>;
  readonly #parts: WorkerPoolParts;
  readonly #workers = new Map<number, PoolWorker>();
  #count: number;
  #closing = false;
  #resolveEnded: () => void = () => undefined;

  constructor(parts: WorkerPoolParts) {
    this.#parts = parts;
    this.#count = parts.count;
    this.claims = new ReplyOwnership(parts.limit);
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
  }

  workers(): IterableIterator<PoolWorker> {
    return this.#workers.values();
  }

  /** Workers at /dev/fuse. */
  get serving(): number {
    return [...this.workers()].filter(({ state }) => state === 'serving').length;
  }

  /**
   * True when at most the last worker is free: a worker that begins a read now may be the last that receives requests. The
   * one that fills the last worker must not read by itself.
   */
  get exhausted(): boolean {
    return this.#workers.size >= this.#parts.limit - 1;
  }

  /** Starts workers until enough are serving or the limit is reached. */
  refill(): void {
    while (!this.#closing && this.serving < this.#count && this.#workers.size < this.#parts.limit)
      this.#start();
  }

  /** One more worker from now on, unless there are enough. A worker that waits for a request cannot be told to end. */
  widen(): void {
    const { count, most = count } = this.#parts;
    if (this.#count >= most) return;
    this.#count += 1;
    this.refill();
  }

  /** A worker does not come back from its read: it no longer counts, and the end of the mount does not wait for it. */
  writeOff(poolWorker: PoolWorker): void {
    poolWorker.state = 'stalled';
    if (!this.#closing) return;
    poolWorker.worker.unref();
    this.#settle();
  }

  /** Speaks to a worker that waits. */
  tell(poolWorker: PoolWorker, message: ToWorker): void {
    poolWorker.worker.postMessage(message);
    this.claims.ring(poolWorker.index);
  }

  /** Sends a worker that waits back to /dev/fuse, or home when others have taken its place. */
  dismiss(poolWorker: PoolWorker): void {
    if (this.#closing || this.serving >= this.#count) this.tell(poolWorker, { kind: 'retire' });
    else {
      poolWorker.state = 'serving';
      this.tell(poolWorker, { kind: 'rejoin' });
    }
  }

  #start(): void {
    const index = this.#freeIndex();
    const worker = this.#parts.threads.take({
      channel: this.#parts.channel,
      workerId: index,
      claims: this.claims.memory,
      handles: this.#parts.handles,
      opens: this.#parts.opens,
      pieces: this.#parts.pieces,
      sources: this.#parts.sources,
      workers: this.#parts.limit,
      inFlight: this.#parts.inFlight?.share,
    });
    const poolWorker: PoolWorker = { index, worker, state: 'serving' };
    this.#workers.set(index, poolWorker);
    worker.on('message', (message: FromWorker) => this.#hear(poolWorker, message));
    worker.on('error', (error) =>
      this.#parts.log.error({ worker: index, reason: reasonOf(error) }, 'a worker failed'),
    );
    worker.on('exit', (code) => this.#left(poolWorker, code));
  }

  #freeIndex(): number {
    for (let index = 0; ; index += 1) if (!this.#workers.has(index)) return index;
  }

  #hear(poolWorker: PoolWorker, message: FromWorker): void {
    if (message instanceof Uint8Array) this.#pass(poolWorker, bufferOf(message));
    else if (message.kind === 'kept') this.#take(poolWorker, bufferOf(message.bytes), message.slot);
    else if (message.kind === 'waiting') this.#waits(poolWorker, message.answered);
    else if (message.kind === 'refused') this.#refuse(poolWorker, message.job);
    else if (message.kind === 'source') this.#parts.onSource(message.source, message.message);
    else if (message.kind === 'opened') this.#parts.onOpened(message.slot, message.outcome);
    else if (message.kind === 'failed')
      this.#parts.log.debug({ ...message }, 'worker read failed; retrying on main thread');
  }

  #take(poolWorker: PoolWorker, request: Buffer, slot: number): void {
    const unique = decodeRequest(request)?.unique;
    if (unique !== undefined) this.#parts.inFlight?.took(unique, slot);
    this.#pass(poolWorker, request);
  }

  /** One that its worker tried first has waited since then. */
  #pass({ watch }: PoolWorker, request: Buffer): void {
    const tried = watch !== undefined && watch.unique === decodeRequest(request)?.unique;
    this.#parts.onRequest(request, tried ? watch.since : this.#parts.clock.now());
  }

  #refuse(poolWorker: PoolWorker, job: ReadJob): void {
    const since = poolWorker.handed?.since ?? this.#parts.clock.now();
    poolWorker.handed = undefined;
    this.#parts.onRefused({ job, since });
  }

  #waits(poolWorker: PoolWorker, answered: bigint | undefined): void {
    if (answered !== undefined) this.#parts.inFlight?.answered(answered);
    this.#parts.onWaiting(poolWorker);
  }

  #left(poolWorker: PoolWorker, code: number): void {
    this.#workers.delete(poolWorker.index);
    this.#answerFor(poolWorker);
    if (code === 0 && poolWorker.state === 'serving') this.#close();
    else if (code !== 0 && !this.#parts.crashes.spend()) this.#giveUp();
    this.#parts.onLeft(poolWorker);
    this.refill();
    this.#settle();
  }

  /** What a worker had read and left unanswered when it died. */
  #answerFor({ index }: PoolWorker): void {
    const { inFlight, onAbandoned, onRequest, clock } = this.#parts;
    const unique = this.claims.abandoned(index);
    const left = inFlight?.vacate(index);
    const kept = left === undefined ? undefined : decodeRequest(left)?.unique;
    if (unique !== undefined) onAbandoned(unique);
    // Its claim was taken from it: it is answered, though its worker could not say so.
    else if (kept !== undefined && kept === this.claims.read(index).unique) inFlight?.answered(kept);
    else if (left !== undefined) onRequest(left, clock.now());
  }

  /** Workers that cannot live are not started for ever. The mount is not at its end, this process is. */
  #giveUp(): void {
    if (this.#closing) return;
    this.#close();
    const remedy = 'The log says of what each of them died.';
    this.#parts.onSpent(new CinderfsError('fuse_failed', 'too many threads of this engine died', { remedy }));
  }

  /** A serving worker ends of its own accord only when the kernel has let go of the mount. */
  #close(): void {
    if (this.#closing) return;
    this.#closing = true;
    for (const poolWorker of this.workers()) {
      if (poolWorker.state === 'waiting') this.tell(poolWorker, { kind: 'retire' });
      // A thread inside a read cannot be ended; it must not keep the process.
      if (poolWorker.state === 'stalled' || poolWorker.state === 'handed') poolWorker.worker.unref();
    }
  }

  #settle(): void {
    const bound = [...this.workers()].some(({ state }) => state === 'serving' || state === 'waiting');
    if (this.#closing && !bound) this.#resolveEnded();
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
