import { EventEmitter } from 'node:events';
import type { Worker } from 'node:worker_threads';
import type { Scheduler } from 'fast-check';
import { Claims } from '../../src/fs/fuse/claims.js';
import { CrashBudget } from '../../src/fs/fuse/crash-budget.js';
import type { Descriptor } from '../../src/fs/fuse/descriptors.js';
import { IN_HEADER, READ_IN } from '../../src/fs/fuse/messages.js';
import type { Opened } from '../../src/fs/fuse/open-files.js';
import { Opcode } from '../../src/fs/fuse/protocol.js';
import { ReadLanes } from '../../src/fs/fuse/read-lanes.js';
import { decodeRequest } from '../../src/fs/fuse/request.js';
import type { QueuedRead } from '../../src/fs/fuse/seat.js';
import { StallWatch } from '../../src/fs/fuse/stall-watch.js';
import type { FromWorker, ReadJob, ToWorker, WorkerStart } from '../../src/fs/fuse/worker-messages.js';
import { WorkerPool } from '../../src/fs/fuse/worker-pool.js';
import { silentLog } from '../../src/log.js';
import { breathe, ManualClock } from '../fakes/manual-clock.js';

export const READ_TIMEOUT_MS = 1000;
export const WORKERS = 2;
const LIMIT = 6;

/** A storage that answers, or does not until it is well again. */
export class Storage {
  readonly fh: number;
  readonly descriptor: Descriptor;
  holds = 0;
  stalled = false;
  #waiting: (() => void)[] = [];

  constructor(fh: number) {
    this.fh = fh;
    const nothing = { fd: fh, cachedFd: fh, direct: false, place: 0, image: 0, source: 0, says: undefined };
    this.descriptor = { ...nothing, path: `storage ${fh}`, regular: true, size: 0 };
  }

  read(): Promise<void> {
    return this.stalled ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve();
  }

  heal(): void {
    this.stalled = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** What the kernel asked and who answered: `worker`, `main`, or an errno. */
export interface Asked {
  readonly unique: bigint;
  readonly fh: number;
  readonly at: number;
  readonly answers: { readonly by: string; readonly at: number }[];
}

/**
 * Pool, lanes, stall watch and claims as a session wires them. The kernel, the storage and the threads are played: each
 * step of a thread is a task of the scheduler, so that fast-check chooses every interleaving, and a thread may die in any.
 */
export class WorkerWorld {
  readonly clock = new ManualClock();
  readonly storages: readonly Storage[] = [new Storage(1), new Storage(2)];
  readonly asked = new Map<bigint, Asked>();
  readonly actors: Actor[] = [];
  readonly stalled = new Set<Descriptor>();
  readonly pool: WorkerPool;
  readonly lanes: ReadLanes;
  readonly watch: StallWatch;
  readonly scheduler: Scheduler;
  cautious = false;
  /** Why the pool gave up, if it did. */
  spent: Error | undefined;
  ended = false;
  readonly #unread: Asked[] = [];
  readonly #readers: ((read: Asked) => void)[] = [];
  #unique = 0n;

  constructor(scheduler: Scheduler, crashLimit = 10_000) {
    this.scheduler = scheduler;
    const { clock } = this;
    const nothing = new SharedArrayBuffer(0);
    this.pool = new WorkerPool({
      threads: { take: (start) => this.#hire(start) as unknown as Worker },
      clock,
      crashes: new CrashBudget({ clock, limit: crashLimit, forgiveMs: 60_000 }),
      fuseFd: -1,
      handles: nothing,
      pieces: nothing,
      exports: nothing,
      images: nothing,
      count: WORKERS,
      limit: LIMIT,
      inFlight: undefined,
      log: silentLog,
      onRequest: (bytes, since) => this.#dispatch(bytes, since),
      onWaiting: (seat) => this.lanes.waiting(seat),
      onRefused: (read) => void this.#readOnMain(read),
      onLeftImage: () => undefined,
      onLeft: (seat) => this.lanes.left(seat),
      onAbandoned: (unique) => this.answer(unique, 'EIO'),
      onSpent: (error) => (this.spent = error),
    });
    const answer = ({ unique }: { unique: bigint }, errno: string): void => this.answer(unique, errno);
    this.lanes = new ReadLanes({
      pool: this.pool,
      files: {
        get: (fh) => this.#opened(fh),
        setStalled: (descriptor, stalled) =>
          void (stalled ? this.stalled.add(descriptor) : this.stalled.delete(descriptor)),
        setCautious: (cautious) => (this.cautious = cautious),
      },
      descriptors: {
        hold: (descriptor) => (this.storage(descriptor.fd).holds += 1),
        release: (descriptor) => (this.storage(descriptor.fd).holds -= 1),
      },
      clock,
      log: silentLog,
      readTimeoutMs: READ_TIMEOUT_MS,
      answer,
      onOrphan: (read) => void this.#readOnMain(read),
    });
    this.watch = new StallWatch({
      pool: this.pool,
      clock,
      readTimeoutMs: READ_TIMEOUT_MS,
      onStalled: (seat, fh) => this.lanes.stalled(seat, fh),
      onBack: (seat) => this.lanes.back(seat),
      answer,
      release: () => undefined,
      onTick: (now) => this.lanes.expire(now),
      needed: () => true,
    });
    void this.pool.ended.then(() => (this.ended = true));
    this.pool.refill();
    this.watch.arm();
  }

  storage(fh: number): Storage {
    const found = this.storages.find((storage) => storage.fh === fh);
    if (found === undefined) throw new Error(`no storage ${fh}`);
    return found;
  }

  /** The kernel asks. */
  ask(fh: number): Asked {
    this.#unique += 2n;
    const read: Asked = { unique: this.#unique, fh, at: this.clock.now(), answers: [] };
    this.asked.set(read.unique, read);
    const reader = this.#readers.shift();
    if (reader === undefined) this.#unread.push(read);
    else reader(read);
    return read;
  }

  /** The next request, for one reader alone; one who dies while it waits gives its turn away. */
  receive(actor: Actor): Promise<Asked> {
    const read = this.#unread.shift();
    if (read !== undefined) return Promise.resolve(read);
    return new Promise((resolve) => {
      const take = (next: Asked): void => {
        if (!actor.dead) resolve(next);
        else if (this.#readers.length > 0) this.#readers.shift()?.(next);
        else this.#unread.unshift(next);
      };
      this.#readers.push(take);
    });
  }

  answer(unique: bigint, by: string): void {
    this.asked.get(unique)?.answers.push({ by, at: this.clock.now() });
  }

  interrupt(unique: bigint): void {
    if (!this.lanes.interrupt(unique)) this.watch.interrupt(unique);
  }

  isQueued(fh: number): boolean {
    return this.cautious || this.stalled.has(this.storage(fh).descriptor);
  }

  /** Runs up to `steps` of what is ready, in an order that the scheduler chooses. */
  async step(steps: number): Promise<void> {
    for (let done = 0; done < steps; done += 1) {
      await breathe();
      if (this.scheduler.count() === 0) return;
      await this.scheduler.waitOne();
    }
  }

  /** All storage is well: lets `ms` pass, in which everything that is ready runs. */
  async calm(ms: number): Promise<void> {
    for (const storage of this.storages) storage.heal();
    for (let passed = 0; passed < ms; passed += 50) {
      await this.step(500);
      await this.clock.advance(50);
    }
    await this.step(500);
  }

  #hire(start: WorkerStart): Actor {
    const actor = new Actor(this, start);
    this.actors.push(actor);
    return actor;
  }

  #opened(fh: number): Opened {
    const { descriptor } = this.storage(fh);
    return { fh, descriptor } as Opened;
  }

  /** As the dispatcher does with READ. */
  #dispatch(bytes: Buffer, since: number): void {
    const request = decodeRequest(bytes);
    if (request === undefined) throw new Error('malformed');
    const job = jobOf(request.unique, READ_IN.decode(request.body).fh);
    const { descriptor } = this.storage(job.fh);
    if (!this.lanes.enqueue(descriptor, { job, since })) void this.#readOnMain({ job, since });
  }

  async #readOnMain({ job, since }: QueuedRead): Promise<void> {
    let waits = true;
    const answer = (by: string): void => {
      if (waits) this.answer(job.unique, by);
      waits = false;
    };
    const stop = this.clock.after(since + READ_TIMEOUT_MS - this.clock.now(), () => answer('ETIMEDOUT'));
    await this.storage(job.fh).read();
    await this.scheduler.schedule(Promise.resolve(), 'main reads');
    stop();
    answer('main');
  }
}

/** A worker thread, step by step as worker.ts and worker-reads.ts. */
export class Actor extends EventEmitter {
  dead = false;
  readonly #world: WorkerWorld;
  readonly #claims: Claims;
  readonly #seat: number;
  readonly #inbox: ToWorker[] = [];
  #outbox: Promise<unknown> = Promise.resolve();
  #ring: () => void = () => undefined;
  #die: (reason: Error) => void = () => undefined;
  readonly #death: Promise<never>;

  constructor(world: WorkerWorld, { seat, claims }: WorkerStart) {
    super();
    this.#world = world;
    this.#seat = seat;
    this.#claims = new Claims(claims);
    this.#death = new Promise((_, reject) => (this.#die = reject));
    this.#death.catch(() => undefined);
    this.#run().then(
      () => this.#exit(0),
      () => this.#exit(1),
    );
  }

  postMessage(message: ToWorker): void {
    this.#inbox.push(message);
    this.#ring();
  }

  unref(): void {
    // Nothing keeps this process.
  }

  kill(): void {
    if (this.dead) return;
    this.dead = true;
    this.#die(new Error('killed'));
  }

  async #run(): Promise<void> {
    await this.#step('starts');
    for (;;) {
      const read = await this.#orDeath(this.#world.receive(this));
      const job = jobOf(read.unique, read.fh);
      if (!(await this.#serve(job, false))) this.#tell(bytesOf(job));
      this.#claims.settle(this.#seat);
      await this.#step('goes on');
      if (this.#claims.recalled(this.#seat) && (await this.#serveWhileRecalled()) === 'retire') return;
    }
  }

  async #serve(job: ReadJob, queued: boolean): Promise<boolean> {
    if (!queued && this.#world.isQueued(job.fh)) return false;
    const claim = this.#claims.open(this.#seat, job);
    await this.#orDeath(this.#world.storage(job.fh).read());
    await this.#step('has read');
    if (!this.#claims.take(this.#seat, claim)) return true;
    await this.#step('answers');
    this.#world.answer(job.unique, 'worker');
    return true;
  }

  async #serveWhileRecalled(): Promise<'rejoin' | 'retire'> {
    for (;;) {
      this.#tell({ kind: 'waiting' });
      const message = await this.#nextMessage();
      if (message.kind !== 'read') return message.kind;
      await this.#step('takes a job');
      if (!(await this.#serve(message.job, true))) this.#tell({ kind: 'refused', job: message.job });
      this.#claims.settle(this.#seat);
      this.#claims.recalled(this.#seat);
    }
  }

  async #nextMessage(): Promise<ToWorker> {
    for (;;) {
      const message = this.#inbox.shift();
      if (message !== undefined) return message;
      await this.#orDeath(new Promise<void>((resolve) => (this.#ring = resolve)));
    }
  }

  /** Messages arrive in order, and all of them before the exit. */
  #tell(message: FromWorker): void {
    this.#send(() => this.emit('message', message));
  }

  #exit(code: number): void {
    this.dead = true;
    this.#send(() => this.emit('exit', code));
  }

  #send(deliver: () => void): void {
    this.#outbox = this.#outbox
      .then(() => this.#world.scheduler.schedule(Promise.resolve(), `worker ${this.#seat} says`))
      .then(deliver);
  }

  #step(what: string): Promise<unknown> {
    return this.#orDeath(this.#world.scheduler.schedule(Promise.resolve(), `worker ${this.#seat} ${what}`));
  }

  #orDeath<T>(work: Promise<T>): Promise<T> {
    return this.dead ? this.#death : Promise.race([work, this.#death]);
  }
}

function jobOf(unique: bigint, fh: number): ReadJob {
  return { unique, pid: 0, fh, offset: 0, length: 4096, uncached: false };
}

function bytesOf({ unique, fh }: ReadJob): Uint8Array {
  const body = READ_IN.encode({ fh, size: 4096 });
  const head = IN_HEADER.encode({ len: IN_HEADER.size + body.length, opcode: Opcode.READ, unique });
  return new Uint8Array(Buffer.concat([head, body]));
}
