import { awake } from '../async/awake.js';
import { sleep, type Clock } from '../async/clock.js';
import { withDeadline } from '../async/deadline.js';
import { CinderfsError } from '../errors.js';
import type { Log } from '../log.js';
import type { UpgradeReport } from '../ops/status.js';
import { EngineProcess, type Ending } from './engine-process.js';
import type { FuseChannel } from './fuse-channel.js';
import { Interim } from './interim.js';
import type { ServedMount, Supervision, ToEngine, ToSupervisor } from './messages.js';
import { RestartPolicy } from './restart-policy.js';
import { handOver } from './upgrade.js';

/** An engine that has not begun to serve by then is killed and started again. */
const START_MS = 60_000;
/** Without an engine for so long, those who wait are answered in its place. */
const INTERIM_MS = 5_000;

export interface SupervisorParts {
  /** Arguments to Node that start an engine. */
  readonly command: readonly string[];
  /** Arguments to Node that start what answers while there is no engine. */
  readonly answerer: readonly string[];
  readonly channel: FuseChannel;
  /** Called once, when the first engine serves. */
  readonly onReady: () => void;
  /** Called when the mount goes, whoever ended it. */
  readonly onEnding: () => void;
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
  readonly #interim: Interim;
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
    const { answerer: command, channel, clock } = parts;
    this.#interim = new Interim({ command, fd: () => channel.fd, begin: () => this.#beginning, clock });
    this.#engine = this.#start();
  }

  /** Supervises until the mount has ended, or never came up; how the last engine ended. */
  async run(): Promise<Ending> {
    // Between two engines nothing else keeps this process.
    return awake(() => this.#run().finally(() => this.#interim.end()));
  }

  async #run(): Promise<Ending> {
    for (;;) {
      const engine = this.#engine;
      const ending = await engine.ended;
      await this.#upgrading;
      if (this.#engine.alive) continue;
      if (!this.#ready || this.#engine.said('ending') || this.#interim.gone || ending.status === 0)
        return ending;
      if (!this.#survives) {
        this.#parts.log.error({ ...ending }, 'the engine died, and no other one can take over');
        return ending;
      }
      await this.#restart(ending);
    }
  }

  /** Whether the mount waits for its next engine to serve. */
  get between(): boolean {
    return this.#ready && this.#servingSince === undefined;
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
        this.#recovered(engine);
        break;
      case 'serving':
        this.#serves();
        break;
      case 'failed':
        this.#fails(engine, message);
        break;
      case 'upgrade':
        this.#upgrading = this.#upgrading.then(() => this.#handOver(message.id));
        break;
      case 'ending':
        this.#parts.onEnding();
        break;
      case 'hot':
      case 'yielded':
      case 'refused':
    }
  }

  #recovered(engine: EngineProcess): void {
    // During an upgrade not before the old engine is dead (upgrade.ts).
    if (engine === this.#engine && !this.#handingOver)
      void this.#interim.end().then(() => engine.tell({ kind: 'serve' }));
  }

  #begin(engine: EngineProcess): void {
    engine.tell(this.#beginning);
    this.#generation += 1;
  }

  get #beginning(): ToEngine {
    const [generation, mount, supervision] = [this.#generation, this.#mount, this.#supervision];
    return { kind: 'begin', generation, mount, supervision };
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

  #fails(engine: EngineProcess, { exit, line }: Extract<ToSupervisor, { kind: 'failed' }>): void {
    if (!this.#ready) {
      this.#parts.onFailed(exit, line);
      return;
    }
    this.#parts.log.error({ line }, 'the engine could not take over');
    // A process whose threads wait for a request cannot exit before there is one for each of them.
    engine.kill('SIGKILL');
  }

  /** Whether another engine can go on; otherwise the mount ends with this one, and readers get ENOTCONN. */
  get #survives(): boolean {
    return this.#mount?.outlives === true;
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
    this.#interim.begin(looping ? 0 : INTERIM_MS);
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
    if (!this.#survives) {
      const failed = 'no other engine can take over here (it takes Linux 6.9 or the koffi package)';
      this.#tellUpgrade({ id, pause_ms: 0, failed });
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
