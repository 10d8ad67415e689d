import type { Clock } from '../../async/clock.js';
import { CinderfsError } from '../../errors.js';
import type { Filesystem, InvalidatedEntry, OpenFile } from '../contract/filesystem.js';
import type { ServedFile, TransportOptions } from '../contract/transport.js';
import { Backings, type PassthroughSupport } from './files/backings.js';
import { Descriptors } from './files/descriptors.js';
import type { KernelChannel } from './channel/kernel-channel.js';
import { DirectorySnapshots } from './operations/directory-snapshots.js';
import { Dispatcher } from './operations/dispatcher.js';
import type { ReplyErrno } from './protocol/errno.js';
import { openOut } from './files/open-answer.js';
import { RestoredFiles } from './files/restored-files.js';
import type { InFlight } from './recovery/in-flight.js';
import { systemCalls } from '../../sys/calls/system-calls.js';
import { HandleQuota } from './files/handle-quota.js';
import { KnownNodes } from './operations/known-nodes.js';
import type { Agreement } from './protocol/negotiation.js';
import { hasPassthrough } from './protocol/negotiation.js';
import { OpenFiles } from './files/open-files.js';
import { CrashBudget } from './pool/crash-budget.js';
import { Demand } from './pool/demand.js';
import type { AgingRead } from './recovery/read-ages.js';
import { ReadAges } from './recovery/read-ages.js';
import { StalledReads } from './pool/stalled-reads.js';
import { ReadRoutes } from './pool/read-routes.js';
import { SharedPieces } from '../../sources/cache/shared-pieces.js';
import { MountSources } from '../../sources/mount-sources.js';
import { sourceKinds } from '../../sources/registry.js';
import { StallWatch } from './pool/stall-watch.js';
import type { TakeoverState } from './recovery/takeover-state.js';
import type { ReadJob } from './worker/messages.js';
import { CRASH_FORGIVEN_MS, MOST_WORKERS, WORKERS, WORKER_LIMIT } from './pool/worker-counts.js';
import { WorkerPool } from './pool/worker-pool.js';
import { WorkerThreads } from './pool/worker-threads.js';

/** Numbers of open directories are not used again by the engine that comes after. */
const DIRECTORIES_PER_ENGINE = 2 ** 32;

export interface SessionParts {
  readonly filesystem: Filesystem;
  readonly options: TransportOptions;
  readonly channel: KernelChannel;
  readonly agreement: Agreement;
  readonly clock: Clock;
  readonly survival?: TakeoverState | undefined;
  /** Where requests are kept for the engine after this one, where the kernel does not do that. */
  readonly inFlight?: InFlight | undefined;
  /** Some for WORKERS may be loaded already. */
  readonly threads?: Pick<WorkerThreads, 'take'> | undefined;
  /** This process cannot serve the mount any more; the mount itself is not at its end. */
  readonly onBroken: (error: CinderfsError) => void;
}

/**
 * One mount being served: wires workers, dispatcher, stalled reads and open files, and takes them down when it ends. Order:
 * rebuild (where an earlier engine served the mount), start.
 */
export class Session {
  /** Settles when the kernel has let go and everything of this mount is given back. */
  readonly ended: Promise<void>;
  readonly #parts: SessionParts;
  readonly #nodes: KnownNodes;
  readonly #ages: ReadAges;
  readonly #quota: HandleQuota;
  readonly #pieces: SharedPieces;
  readonly #sources: MountSources;
  readonly #descriptors: Descriptors;
  readonly #files: OpenFiles;
  readonly #pool: WorkerPool;
  readonly #stalledReads: StalledReads;
  readonly #watch: StallWatch;
  readonly #demand = new Demand();
  readonly #dispatcher: Dispatcher;
  readonly #earlier: RestoredFiles;
  #directories: number;

  constructor(parts: SessionParts) {
    const { options, channel, clock, survival } = parts;
    const { log, readTimeoutMs, openTimeoutMs } = options;
    const answer = this.#refuseRead.bind(this);
    this.#parts = parts;
    this.#ages = new ReadAges(clock);
    this.#quota = new HandleQuota(options.handlesPerUser ?? Infinity);
    this.#pieces = new SharedPieces(options.pieceBytes ?? 0);
    this.#nodes = new KnownNodes(this.#tookOver);
    this.#directories = (survival?.generation ?? 0) * DIRECTORIES_PER_ENGINE;
    this.#sources = new MountSources(options.sources ?? sourceKinds(), WORKER_LIMIT);
    this.#descriptors = new Descriptors(this.#sources);
    this.#files = new OpenFiles({
      descriptors: this.#descriptors,
      backings: new Backings(this.#passthrough(), log),
      onFenced: ({ node }) => this.#dropPages(node),
      ...{ quota: this.#quota, journal: survival?.journal, clock },
    });
    this.#earlier = new RestoredFiles({
      journal: survival?.journal,
      filesystem: parts.filesystem,
      files: this.#files,
    });
    this.#pool = this.#workers();
    this.#stalledReads = new StalledReads({
      pool: this.#pool,
      files: this.#files,
      descriptors: this.#descriptors,
      clock,
      log,
      readTimeoutMs,
      answer,
      onOrphan: (read) => this.#dispatcher.read(read),
    });
    this.#watch = new StallWatch({
      pool: this.#pool,
      clock,
      readTimeoutMs,
      onStalled: (workerId, fh) => this.#stalledReads.stalled(workerId, fh),
      onBack: (workerId) => this.#stalledReads.back(workerId),
      answer,
      ages: this.#ages,
      release: ({ index }, fh) => this.#interrupt(index, fh),
      onTick: (now) => this.#tick(now),
      needed: () => this.#files.watched || this.#stalledReads.size > 0,
    });
    this.#dispatcher = new Dispatcher({
      context: this.#context(),
      channel,
      clock,
      readTimeoutMs,
      openTimeoutMs,
      log,
      onExpired: (read, since) => this.#ages.expired(read, since),
      onInterrupt: (unique) => this.#stalledReads.interrupt(unique) || this.#watch.interrupt(unique),
    });
    const unsubscribe = parts.filesystem.onInvalidate((entry) => this.#invalidate(entry));
    this.ended = this.#pool.ended.then(() => this.#end(unsubscribe));
  }

  /** Opens again what earlier engines had open; see RestoredFiles. */
  rebuild(): Promise<void> {
    return this.#earlier.rebuild();
  }

  /** Begins to answer: first what an earlier engine had read and not answered. */
  start(): void {
    const { channel, inFlight } = this.#parts;
    const left = this.#tookOver ? (inFlight?.left((unique) => channel.waits(unique)) ?? []) : [];
    for (const request of left) this.#dispatcher.dispatch(request, this.#parts.clock.now());
    if (this.#tookOver && inFlight === undefined) channel.resend();
    this.#pool.refill();
  }

  /** After a successor that did not become ready, which has answered nothing: what it noted is overwritten. */
  resume(): void {
    this.#parts.survival?.journal.rewrite();
    if (this.#parts.inFlight === undefined) this.#parts.channel.resend();
  }

  /** From here on every open is the file system's to allow, also of what is open. */
  askForOpens(): void {
    this.#files.expectNoMore();
  }

  served(): readonly ServedFile[] {
    return this.#files.served();
  }

  #tick(now: number): void {
    this.#stalledReads.expire(now);
    if (this.#demand.look(this.#pool.workers(), now)) this.#pool.widen();
  }

  /** A worker need not wait any longer for a source that does not answer. */
  #interrupt(workerId: number, fh: number): void {
    const descriptor = this.#files.get(fh)?.descriptor;
    if (descriptor !== undefined) this.#sources.interrupt(descriptor, workerId);
  }

  #passthrough(): PassthroughSupport | undefined {
    const offered = hasPassthrough(this.#parts.agreement) && systemCalls() !== undefined;
    return offered ? this.#parts.channel : undefined;
  }

  get #tookOver(): boolean {
    return (this.#parts.survival?.generation ?? 0) > 0;
  }

  #workers(): WorkerPool {
    const { channel, options, clock, inFlight, threads = new WorkerThreads() } = this.#parts;
    return new WorkerPool({
      threads,
      clock,
      crashes: new CrashBudget({ clock, limit: WORKER_LIMIT, forgiveMs: CRASH_FORGIVEN_MS }),
      channel: channel.forWorkers,
      handles: this.#files.shared.memory,
      opens: this.#files.opens,
      pieces: this.#pieces.memory,
      sources: this.#sources.workerHalves,
      count: WORKERS,
      most: MOST_WORKERS,
      limit: WORKER_LIMIT,
      inFlight,
      log: options.log,
      onRequest: (bytes, came) => this.#dispatcher.dispatch(bytes, this.#ages.sinceAsked(bytes, came)),
      onWaiting: (workerId) => this.#stalledReads.waiting(workerId),
      onRefused: (read) => this.#dispatcher.read(read),
      onSource: (kind, message) => this.#sources.heard(kind, message),
      onLeft: (workerId) => {
        this.#sources.vacate(workerId.index);
        this.#stalledReads.left(workerId);
        for (const { unique, opened } of this.#files.abandoned(workerId.index))
          channel.reply(unique, [openOut(opened)]);
      },
      onOpened: (slot, outcome) => this.#release(this.#files.told(slot, outcome)),
      onAbandoned: (unique) => channel.fail(unique, 'EIO'),
      onSpent: (error) => this.#parts.onBroken(error),
    });
  }

  #context(): ConstructorParameters<typeof Dispatcher>[0]['context'] {
    const { filesystem, options } = this.#parts;
    return {
      filesystem,
      attributeTtlSeconds: options.attributeTtlSeconds,
      nodes: this.#nodes,
      files: this.#files,
      earlier: this.#earlier,
      tookOver: this.#tookOver,
      directories: new Map(),
      snapshots: new DirectorySnapshots(),
      quota: this.#quota,
      nextDirectory: () => (this.#directories += 1),
      onOpened: (opened) => {
        this.#watch.arm();
        // Its answer goes first.
        setImmediate(() => this.#files.expectMore(opened));
      },
      routes: new ReadRoutes(() => this.#stalledReads, this.#pieces),
    };
  }

  /** Answers a read that no source answered. */
  #refuseRead(read: AgingRead & Pick<ReadJob, 'unique'>, errno: ReplyErrno, since: number): void {
    const { channel, options } = this.#parts;
    const { unique, fh } = read;
    // Before: the kernel may ask again as soon as it is answered.
    if (errno === 'ETIMEDOUT') this.#ages.expired(read, since);
    channel.fail(unique, errno);
    if (errno !== 'ETIMEDOUT') return;
    const why = `the source did not answer within ${options.readTimeoutMs} ms`;
    this.#readFailed(fh, new CinderfsError('read_timeout', why));
  }

  #readFailed(fh: number, error: CinderfsError): void {
    const opened = this.#files.get(fh);
    if (opened !== undefined) this.#parts.filesystem.readFailed(opened.file.handle, error);
  }

  /** Takes an entry out of the kernel's caches. What it has not looked up it has not cached. */
  #invalidate({ parent, name, node }: InvalidatedEntry): void {
    this.#files.expectNoMore();
    this.#parts.channel.invalidateEntry(parent, name);
    if (this.#nodes.mayKnow(node)) this.#dropPages(node);
  }

  #release(file: OpenFile | undefined): void {
    if (file !== undefined) this.#parts.filesystem.release(file.handle);
  }

  #dropPages(node: number): void {
    this.#parts.channel.invalidateInode(node);
  }

  async #end(unsubscribe: () => void): Promise<void> {
    unsubscribe();
    this.#watch.close();
    this.#dispatcher.abandon();
    this.#earlier.abandon();
    for (const fh of this.#files.numbers()) this.#release(this.#files.remove(fh));
    await this.#parts.channel.quiet();
    this.#parts.survival?.journal.remove();
    this.#parts.inFlight?.remove();
  }
}
