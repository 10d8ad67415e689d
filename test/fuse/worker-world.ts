import type { Worker } from 'node:worker_threads';
import type { Scheduler } from 'fast-check';
import { CrashBudget } from '../../src/fs/fuse/pool/crash-budget.js';
import type { Descriptor } from '../../src/fs/fuse/files/descriptors.js';
import { READ_IN } from '../../src/fs/fuse/protocol/messages.js';
import type { Opened } from '../../src/fs/fuse/files/open-files.js';
import { ReadAges } from '../../src/fs/fuse/recovery/read-ages.js';
import { ReadLanes } from '../../src/fs/fuse/pool/read-lanes.js';
import { decodeRequest } from '../../src/fs/fuse/protocol/request.js';
import type { QueuedRead } from '../../src/fs/fuse/pool/seat.js';
import { StallWatch } from '../../src/fs/fuse/pool/stall-watch.js';
import type { WorkerStart } from '../../src/fs/fuse/worker/messages.js';
import { WorkerPool } from '../../src/fs/fuse/pool/worker-pool.js';
import { silentLog } from '../../src/log.js';
import { breathe, ManualClock } from '../fakes/manual-clock.js';
import { Actor, jobOf } from './worker-actor.js';

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
    const published = { slot: fh, close: () => undefined };
    this.descriptor = { name: `storage ${fh}`, kind: 0, number: 0, published };
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
      sources: [],
      count: WORKERS,
      limit: LIMIT,
      inFlight: undefined,
      log: silentLog,
      onRequest: (bytes, since) => this.#dispatch(bytes, since),
      onWaiting: (seat) => this.lanes.waiting(seat),
      onRefused: (read) => void this.#readOnMain(read),
      onSource: () => undefined,
      onLeft: (seat) => this.lanes.left(seat),
      onAbandoned: (unique) => this.answer(unique, 'EIO'),
      onSpent: (error) => (this.spent = error),
    });
    const ages = new ReadAges(clock);
    const answer = ({ unique }: { unique: bigint }, errno: string): void => this.answer(unique, errno);
    this.lanes = new ReadLanes({
      pool: this.pool,
      files: {
        get: (fh) => this.#opened(fh),
        setStalled: (descriptor, stalled) => {
          if (stalled) this.stalled.add(descriptor);
          else this.stalled.delete(descriptor);
        },
        setCautious: (cautious) => (this.cautious = cautious),
      },
      descriptors: {
        hold: (descriptor) => (this.storage(descriptor.published.slot).holds += 1),
        release: (descriptor) => (this.storage(descriptor.published.slot).holds -= 1),
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
      ages,
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
      await this.scheduler.waitNext(1);
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
