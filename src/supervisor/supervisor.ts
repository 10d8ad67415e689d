import { sleep, type Clock } from '../async/clock.js';
import { withDeadline } from '../async/deadline.js';
import { CinderfsError } from '../errors.js';
import { hasResend } from '../fs/fuse/negotiation.js';
import type { Log } from '../log.js';
import type { UpgradeReport } from '../ops/status.js';
import { EngineProcess, type Ending } from './engine-process.js';
import type { FuseChannel } from './fuse-channel.js';
import type { ServedMount, Supervision, ToSupervisor } from './messages.js';
import { unpackAgreement } from './messages.js';
import { RestartPolicy } from './restart-policy.js';
import { handOver } from './upgrade.js';

/** An engine that has not begun to serve by then is killed and started again. */
const START_MS = 60_000;

export interface SupervisorParts {
  /** Arguments to Node that start an engine. */
  readonly command: readonly string[];
  readonly channel: FuseChannel;
  /** Called once, when the first engine serves. */
  readonly onReady: () => void;
  /** Called when the first engine says why it cannot start. */
  readonly onFailed: (exit: number, line: string) => void;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * Keeps a mount alive: holds its descriptor, starts the engine that serves it, starts it again when it dies. Does
 * nothing else, so that it has nothing to crash on: no OpenStack, no file of the mount, no request of the kernel.
 */
export class Supervisor {
  readonly #parts: SupervisorParts;
  readonly #policy: RestartPolicy;
  readonly #signals: NodeJS.Signals[] = [];
  #engine: EngineProcess;
  #generation = 0;
  #restarts = 0;
  #mount: ServedMount | undefined;
  #servingSince: number | undefined;
  #ready = false;
  #upgrading: Promise<void> = Promise.resolve();
  #handingOver = false;
  #upgrade: UpgradeReport | null = null;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
    this.#policy = new RestartPolicy(parts.clock);
    this.#engine = this.#start();
  }

  /** Supervises until the mount has ended, or never came up; how the last engine ended. */
  async run(): Promise<Ending> {
    // Between two engines nothing else keeps this process.
    const alive = setInterval(() => undefined, 2 ** 30);
    try {
      return await this.#run();
    } finally {
      clearInterval(alive);
    }
  }

  async #run(): Promise<Ending> {
    for (;;) {
      const engine = this.#engine;
      const ending = await engine.ended;
      await this.#upgrading;
      if (this.#engine.alive) continue;
      if (!this.#ready || this.#engine.said('ending') || ending.status === 0) return ending;
      if (!this.#survives()) {
        this.#parts.log.error({ ...ending }, 'the engine died, and this kernel lets no other one take over');
        return ending;
      }
      await this.#restart(ending);
    }
  }

  /** Passes a signal on: the engine knows how to end. One that is being started gets it as soon as it serves. */
  signal(signal: NodeJS.Signals): void {
    this.#signals.push(signal);
    if (!this.#ready || this.#servingSince !== undefined) this.#engine.kill(signal);
  }

  #start(): EngineProcess {
    const { command, channel } = this.#parts;
    const engine: EngineProcess = new EngineProcess(command, channel.fd, (message) =>
      this.#hear(engine, message),
    );
    return engine;
  }

  #hear(engine: EngineProcess, message: ToSupervisor): void {
    switch (message.kind) {
      case 'warm':
        if (engine === this.#engine) this.#begin(engine);
        break;
      case 'mount':
        void this.#answerMount(engine, message.request);
        break;
      case 'agreed':
        this.#mount = message.mount;
        break;
      case 'recovered':
        // During an upgrade not before the old engine is dead (upgrade.ts).
        if (engine === this.#engine && !this.#handingOver) engine.tell({ kind: 'serve' });
        break;
      case 'serving':
        this.#serves();
        break;
      case 'failed':
        if (!this.#ready) this.#parts.onFailed(message.exit, message.line);
        break;
      case 'upgrade':
        this.#upgrading = this.#upgrading.then(() => this.#handOver(message.id));
        break;
      case 'ending':
      case 'yielded':
      case 'refused':
    }
  }

  #begin(engine: EngineProcess): void {
    engine.tell({
      kind: 'begin',
      generation: this.#generation,
      mount: this.#mount,
      supervision: this.#supervision,
    });
    this.#generation += 1;
  }

  async #answerMount(engine: EngineProcess, request: Parameters<FuseChannel['mount']>[0]): Promise<void> {
    const { channel } = this.#parts;
    try {
      const socket = channel.bySocket;
      await channel.mount(request);
      engine.tell({ kind: 'mounted', socket });
    } catch (thrown) {
      const { code, message, remedy } = CinderfsError.from(thrown, 'fuse_failed');
      engine.tell({ kind: 'not_mounted', code, message, remedy });
    }
  }

  #serves(): void {
    this.#servingSince = this.#parts.clock.now();
    if (!this.#ready) this.#parts.onReady();
    // What was signalled while nobody served.
    else for (const signal of this.#signals) this.#engine.kill(signal);
    this.#ready = true;
  }

  /**
   * Whether another engine can go on. Where the kernel does not send requests again, those that the dead engine had in
   * hand would wait for ever: there the mount ends with it, and readers get ENOTCONN.
   */
  #survives(): boolean {
    return this.#mount !== undefined && hasResend(unpackAgreement(this.#mount.agreement));
  }

  async #restart(ending: Ending): Promise<void> {
    const { log, clock } = this.#parts;
    const died = clock.now();
    const served = this.#servingSince === undefined ? 0 : died - this.#servingSince;
    this.#servingSince = undefined;
    this.#restarts += 1;
    const { waitMs, looping } = this.#policy.next(served);
    const fields = { ...ending, restarts: this.#restarts, served_ms: Math.round(served), wait_ms: waitMs };
    if (looping) log.error(fields, 'the engine dies again and again; the mount stays, trying slowly');
    else log.warn(fields, 'the engine died; starting it again');
    if (waitMs > 0) await sleep(clock, waitMs);
    this.#engine = this.#start();
    const engine = this.#engine;
    this.#within(START_MS, engine.hears('serving')).then(
      () => log.info({ pid: engine.pid, ms: Math.round(clock.now() - died) }, 'the mount is served again'),
      () => engine.kill('SIGKILL'),
    );
  }

  async #handOver(id: string): Promise<void> {
    const { log, clock } = this.#parts;
    if (!this.#survives()) {
      this.#tellUpgrade({
        id,
        pause_ms: 0,
        failed: 'this kernel lets no other engine take over (Linux 6.9 does)',
      });
      return;
    }
    const old = this.#engine;
    this.#handingOver = true;
    const report = await handOver({
      id,
      old,
      successor: this.#start(),
      begin: (successor) => {
        this.#engine = successor;
        this.#servingSince = undefined;
        this.#begin(successor);
      },
      rollBack: () => {
        this.#engine = old;
        this.#servingSince = clock.now();
      },
      log,
      clock,
    });
    this.#handingOver = false;
    this.#tellUpgrade(report);
  }

  #tellUpgrade(report: UpgradeReport): void {
    this.#upgrade = report;
    this.#engine.tell({ kind: 'news', supervision: this.#supervision });
  }

  get #supervision(): Supervision {
    return { supervisor_pid: process.pid, restarts: this.#restarts, upgrade: this.#upgrade };
  }

  #within<T>(ms: number, work: Promise<T>): Promise<T> {
    return withDeadline(work, {
      clock: this.#parts.clock,
      ms,
      onTimeout: () => new CinderfsError('start_timeout', `the engine did not serve within ${ms / 1000} s`),
    });
  }
}
