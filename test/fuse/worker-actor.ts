import { EventEmitter } from 'node:events';
import { ReplyOwnership } from '../../src/fs/fuse/shared/reply-ownership.js';
import { IN_HEADER, READ_IN } from '../../src/fs/fuse/protocol/messages.js';
import { Opcode } from '../../src/fs/fuse/protocol/opcodes.js';
import type { FromWorker, ReadJob, ToWorker, WorkerStart } from '../../src/fs/fuse/worker/messages.js';
import type { WorkerWorld } from './worker-world.js';

/** A worker thread, step by step as worker.ts and worker-reads.ts. */
export class Actor extends EventEmitter {
  dead = false;
  readonly #world: WorkerWorld;
  readonly #claims: ReplyOwnership;
  readonly #workerId: number;
  readonly #inbox: ToWorker[] = [];
  #outbox: Promise<unknown> = Promise.resolve();
  #ring: () => void = () => undefined;
  #die: (reason: Error) => void = () => undefined;
  readonly #death: Promise<never>;

  constructor(world: WorkerWorld, { workerId, claims }: WorkerStart) {
    super();
    this.#world = world;
    this.#workerId = workerId;
    this.#claims = new ReplyOwnership(claims);
    this.#death = new Promise((_, reject) => (this.#die = reject));
    this.#death.catch(() => undefined);
    this.#run().then(
      () => this.#exit(0),
      () => this.#exit(1),
    );
  }

  postMessage(message: ToWorker): void {
    if (message.kind === 'read') this.#world.handed(message.job);
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
      this.#claims.settle(this.#workerId);
      await this.#step('goes on');
      if (this.#claims.recalled(this.#workerId) && (await this.#serveWhileRecalled()) === 'retire') return;
    }
  }

  async #serve(job: ReadJob, queued: boolean): Promise<boolean> {
    if (!queued && this.#world.isQueued(job.fh)) return false;
    const claim = this.#claims.begin(this.#workerId, job);
    await this.#orDeath(this.#world.storage(job.fh).read());
    await this.#step('has read');
    if (!this.#claims.win(this.#workerId, claim)) return true;
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
      this.#claims.settle(this.#workerId);
      this.#claims.recalled(this.#workerId);
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
      .then(() => this.#world.scheduler.schedule(Promise.resolve(), `worker ${this.#workerId} says`))
      .then(deliver);
  }

  #step(what: string): Promise<unknown> {
    return this.#orDeath(
      this.#world.scheduler.schedule(Promise.resolve(), `worker ${this.#workerId} ${what}`),
    );
  }

  #orDeath<T>(work: Promise<T>): Promise<T> {
    return this.dead ? this.#death : Promise.race([work, this.#death]);
  }
}

/** A READ of the first page. */
export function jobOf(unique: bigint, fh: number): ReadJob {
  return { unique, pid: 0, fh, offset: 0, length: 4096, uncached: false };
}

function bytesOf({ unique, fh }: ReadJob): Uint8Array {
  const body = READ_IN.encode({ fh, size: 4096 });
  const head = IN_HEADER.encode({ len: IN_HEADER.size + body.length, opcode: Opcode.READ, unique });
  return new Uint8Array(Buffer.concat([head, body]));
}
