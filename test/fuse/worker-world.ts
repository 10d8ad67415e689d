import type { Worker } from 'node:worker_threads';
import { SharedOpens } from '../../src/fs/fuse/shared/shared-opens.js';
import type { Scheduler } from 'fast-check';
import { CrashBudget } from '../../src/fs/fuse/pool/crash-budget.js';
import type { Descriptor } from '../../src/fs/fuse/files/descriptors.js';
import { READ_IN } from '../../src/fs/fuse/protocol/messages.js';
import type { Opened } from '../../src/fs/fuse/files/opened.js';
import { ReadAges } from '../../src/fs/fuse/recovery/read-ages.js';
import { StalledReads } from '../../src/fs/fuse/pool/stalled-reads.js';
import { decodeRequest } from '../../src/fs/fuse/protocol/request.js';
import type { QueuedRead } from '../../src/fs/fuse/pool/pool-worker.js';
import { StallWatch } from '../../src/fs/fuse/pool/stall-watch.js';
import type { ReadJob, WorkerStart } from '../../src/fs/fuse/worker/messages.js';
import { WorkerPool } from '../../src/fs/fuse/pool/worker-pool.js';
import { silentLog } from '../../src/log.js';
import { breathe, ManualClock } from '../fakes/manual-clock.js';
import { Actor, jobOf } from './worker-actor.js';
import { Storage, type Asked } from './worker-storage.js';

export const READ_TIMEOUT_MS = 1000;
export const WORKERS = 2;
const LIMIT = 6;
/** What may pass until a tick sees something, one more acts on it and its answer is on its way. */
const SLACK_MS = 150;
/** Until a worker that meets a dead storage is found to be stalled, and replaced. */
const STALL_MS = 300;

/**
 * Pool, lanes, stall watch and claims as a session wires them. The kernel, the storage and the threads are played: each
 * step of a thread is a task of the scheduler, so that fast-check chooses every interleaving, and a thread may die in any.
 */
export class WorkerWorld {
  readonly clock = new ManualClock();
  readonly storages: readonly Storage[];
  readonly asked = new Map<bigint, Asked>();
  readonly actors: Actor[] = [];
  readonly stalled = new Set<Descriptor>();
  readonly pool: WorkerPool;
  readonly lanes: StalledReads;
  readonly watch: StallWatch;
  readonly scheduler: Scheduler;
  degraded = false;
  /** Why the pool gave up, if it did. */
  spent: Error | undefined;
  ended = false;
  /** Promises that were broken. */
  readonly violations: string[] = [];
  /** Promises of time that were broken; they hold only while threads run as soon as they can. */
  readonly late: string[] = [];
  readonly #unread: Asked[] = [];
  readonly #readers: ((read: Asked) => void)[] = [];
  #unique = 0n;

  constructor(scheduler: Scheduler, { crashLimit = 10_000, storages = 2 } = {}) {
    this.scheduler = scheduler;
    this.storages = Array.from({ length: storages }, (_, index) => new Storage(index + 1));
    const { clock } = this;
    const nothing = new SharedArrayBuffer(0);
    this.pool = new WorkerPool({
      threads: { take: (start) => this.#hire(start) as unknown as Worker },
      clock,
      crashes: new CrashBudget({ clock, limit: crashLimit, forgiveMs: 60_000 }),
      channel: { fuseFd: -1 },
      handles: nothing,
      pieces: nothing,
      sources: [],
      count: WORKERS,
      limit: LIMIT,
      inFlight: undefined,
      log: silentLog,
      onRequest: (bytes, since) => this.#dispatch(bytes, since),
      opens: new SharedOpens().memory,
      onOpened: () => undefined,
      onWaiting: (workerId) => this.lanes.waiting(workerId),
      onRefused: (read) => void this.#readOnMain(read),
      onSource: () => undefined,
      onLeft: (workerId) => this.lanes.left(workerId),
      onAbandoned: (unique) => this.answer(unique, 'EIO'),
      onSpent: (error) => this.#spend(error),
    });
    const ages = new ReadAges(clock);
    const answer = ({ unique }: { unique: bigint }, errno: string): void => this.answer(unique, errno);
    this.lanes = new StalledReads({
      pool: this.pool,
      files: {
        get: (fh) => this.#opened(fh),
        setStalled: (descriptor, stalled) => {
          if (stalled) this.stalled.add(descriptor);
          else this.stalled.delete(descriptor);
        },
        setDegraded: (degraded) => (this.degraded = degraded),
      },
      descriptors: {
        hold: (descriptor) => this.#hold(descriptor, 1),
        release: (descriptor) => this.#hold(descriptor, -1),
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
      onStalled: (workerId, fh) => this.lanes.stalled(workerId, fh),
      onBack: (workerId) => this.lanes.back(workerId),
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
    const answers = this.asked.get(unique)?.answers ?? [];
    answers.push({ by, at: this.clock.now() });
    if (answers.length > 1)
      this.violations.push(`${unique} was answered by ${answers.map((one) => one.by).join()}`);
    this.#leavesQueue(unique);
  }

  /** Those that have a read of a lane in hand. */
  handedTo(): readonly Actor[] {
    const handed = [...this.pool.workers()].filter(({ state }) => state === 'handed');
    return this.actors.filter((actor) => !actor.dead && handed.some(({ worker }) => worker === actor));
  }

  /** A worker was handed a read that had waited in a lane. */
  handed({ unique, fh }: ReadJob): void {
    const { queue } = this.storage(fh);
    if (queue[0] !== unique) this.violations.push(`${unique} is read before ${queue[0] ?? 'it was queued'}`);
    this.#leavesQueue(unique);
  }

  interrupt(unique: bigint): void {
    if (!this.lanes.interrupt(unique)) this.watch.interrupt(unique);
  }

  isQueued(fh: number): boolean {
    return this.degraded || this.stalled.has(this.storage(fh).descriptor);
  }

  /** Runs up to `steps` of what is ready, in an order that the scheduler chooses. */
  async step(steps: number): Promise<void> {
    for (let done = 0; done < steps; done += 1) {
      await breathe();
      if (this.scheduler.count() === 0) return;
      await this.scheduler.waitNext(1);
    }
  }

  /**
   * Lets `ms` pass on a host that is not overloaded: what is ready runs before the clock goes on, and so the promises of
   * time hold.
   */
  async live(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) {
      await this.step(500);
      this.#judge();
      await this.clock.advance(50);
    }
    await this.step(500);
    this.#judge();
  }

  /** The same with all storage well. */
  async calm(ms: number): Promise<void> {
    for (const storage of this.storages) storage.heal();
    await this.live(ms);
  }

  /** Metadata must find a worker at /dev/fuse whatever storage does; reads end in time, those of others at once. */
  #judge(): void {
    if (this.pool.serving === 0 && this.spent === undefined) this.violations.push('no worker receives');
    const failed = this.storages.filter((storage) => storage.failed).length;
    // How long a request may be with the kernel, while every worker waits for a dead storage and is replaced.
    const unread = Math.min(READ_TIMEOUT_MS, failed * STALL_MS);
    for (const { unique, fh, at, answers } of this.asked.values()) {
      const took = (answers[0]?.at ?? this.clock.now()) - at;
      const limit = unread + (this.storage(fh).failed ? READ_TIMEOUT_MS : 0);
      if (took > limit + SLACK_MS) this.late.push(`${unique} of storage ${fh} waited ${took} ms`);
    }
  }

  #hold(descriptor: Descriptor, more: 1 | -1): void {
    const storage = this.storage(descriptor.published.slot);
    storage.holds += more;
    if (storage.holds !== 0 && storage.holds !== 1)
      this.violations.push(`${storage.holds} holds on ${descriptor.name}`);
  }

  #spend(error: Error): void {
    if (this.spent !== undefined) this.violations.push('the pool gave up twice');
    this.spent = error;
  }

  #leavesQueue(unique: bigint): void {
    for (const { queue } of this.storages) if (queue.includes(unique)) queue.splice(queue.indexOf(unique), 1);
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
    const { queue } = this.storage(job.fh);
    queue.push(job.unique);
    if (this.lanes.enqueue(descriptor, { job, since })) return;
    this.#leavesQueue(job.unique);
    void this.#readOnMain({ job, since });
  }

  async #readOnMain({ job, since }: QueuedRead): Promise<void> {
    this.#leavesQueue(job.unique);
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
