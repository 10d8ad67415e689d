import { keepProcessAlive } from '../async/keep-process-alive.js';
import { sleep, type Clock } from '../async/clock.js';
import { CinderfsError, EXIT } from '../errors.js';
import type { Log } from '../log.js';
import type { UpgradeReport } from '../ops/status.js';
import { FALLBACK_MS, FIRST_START_MS, NEXT_ENGINE_MS, UNDO_MS, withinStart } from './deadlines.js';
import { EngineProcess, type Ending, type Inherited } from './engine-process.js';
import type { FuseChannel } from './fuse-channel.js';
import { FallbackProcess } from './fallback-process.js';
import { LastResort } from './last-resort.js';
import type { ServedMount, Supervision, ToEngine, ToSupervisor } from './messages.js';
import { nameProcess, type ProcessName } from '../sys/processes/process-name.js';
import { SPEAKER } from './protocol.js';
import { RestartPolicy } from './restart-policy.js';
import { handOver } from './upgrade.js';

const NO_ENGINE = 'no engine comes that could end the mount in order';

export interface SupervisorParts {
  /** Arguments to Node that start an engine. */
  readonly command: readonly string[];
  /** Arguments to Node that start the fallback responder. */
  readonly answerer: readonly string[];
  /** What an engine and a fallback responder are told first of all, over a private channel. */
  readonly settings?: { readonly engine: unknown; readonly answerer: unknown };
  readonly channel: FuseChannel;
  /** Where they log to; undefined: stderr. */
  readonly logFd?: number | undefined;
  /** Milliseconds that an engine which is told to end waits for open files. */
  readonly drainMs: number;
  /** Called once, when the first engine serves, with the mount point without symbolic links. */
  readonly onReady: (mountpoint: string | undefined) => void;
  /** Called when the mount goes, however it ended. */
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
  readonly #fallback: FallbackProcess;
  readonly #lastResort: LastResort;
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
    const { answerer: command, clock } = parts;
    const told = { kind: 'settings', settings: parts.settings?.answerer, ...SPEAKER } as const;
    this.#fallback = new FallbackProcess({
      command,
      told,
      inherits: () => this.#inherited,
      begin: () => this.#beginning,
      clock,
    });
    this.#lastResort = new LastResort({ ...parts, onEnd: (why) => this.#givesUp(why) });
    this.#engine = this.#start();
    this.#lastResort.in(FIRST_START_MS, 'the first engine did not serve in time');
  }

  /** Supervises until the mount has ended, or never came up; how the last engine ended. */
  async run(): Promise<Ending> {
    // Between two engines nothing else keeps this process.
    return keepProcessAlive(async () => {
      const ending = await Promise.race([this.#run(), this.#lastResort.used]);
      await this.#fallback.end();
      if (!this.#ready) await this.#lastResort.undo();
      return ending;
    });
  }

  async #run(): Promise<Ending> {
    for (;;) {
      const engine = this.#engine;
      const ending = await engine.ended;
      await this.#upgrading;
      if (this.#lastResort.inUse) return this.#lastResort.used;
      if (this.#engine.alive) continue;
      if (!this.#ready || this.#engine.said('ending') || this.#fallback.gone || ending.status === 0)
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
    if (!this.#ready) {
      this.#lastResort.in(UNDO_MS, 'the engine that was starting did not end when it was told to');
      this.#engine.kill(signal);
    } else if (this.#servingSince !== undefined) this.#tellToEnd(signal);
    else this.#lastResort.in(NEXT_ENGINE_MS, NO_ENGINE);
  }

  /** Tells the engine something that does not end it; one that does not serve has no use for it. */
  passOn(signal: NodeJS.Signals): void {
    if (this.#servingSince !== undefined) this.#engine.kill(signal);
  }

  #tellToEnd(signal: NodeJS.Signals): void {
    // The second no longer waits for open files.
    this.#lastResort.tell(this.#engine, signal, this.#signals.length > 1);
  }

  #givesUp(why: string): void {
    this.#engine.kill('SIGKILL');
    if (!this.#ready) this.#parts.onFailed(EXIT.timeout, new CinderfsError('start_timeout', why).toLine());
  }

  #start(): EngineProcess {
    const { command } = this.#parts;
    const engine: EngineProcess = new EngineProcess(command, this.#inherited, (said) =>
      this.#hear(engine, said),
    );
    engine.tell({ kind: 'settings', settings: this.#parts.settings?.engine, ...SPEAKER });
    return engine;
  }

  get #inherited(): Inherited {
    return { fd: this.#parts.channel.fd, logFd: this.#parts.logFd };
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
        this.#mount = { ...message.mount, place: this.#lastResort.place };
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
      case 'stopping':
        this.#lastResort.stopping(engine);
        break;
      case 'ending':
        this.#lastResort.ending();
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
      void this.#fallback.end().then(() => engine.tell({ kind: 'serve' }));
  }

  #begin(engine: EngineProcess, predecessor?: ProcessName): void {
    engine.tell({ ...this.#beginning, predecessor });
    this.#generation += 1;
  }

  get #beginning(): Extract<ToEngine, { kind: 'begin' }> {
    const [generation, mount, supervision] = [this.#generation, this.#mount, this.#supervision];
    return { kind: 'begin', generation, mount, supervision };
  }

  async #answerMount(engine: EngineProcess, request: Parameters<FuseChannel['mount']>[0]): Promise<void> {
    const { channel } = this.#parts;
    try {
      const socket = channel.bySocket;
      await this.#lastResort.mount(request);
      engine.tell({ kind: 'mounted', socket });
    } catch (thrown) {
      const { code, message, remedy } = CinderfsError.from(thrown, 'fuse_failed');
      engine.tell({ kind: 'not_mounted', code, message, remedy });
    }
  }

  #serves(): void {
    this.#servingSince = this.#parts.clock.now();
    this.#lastResort.off();
    if (!this.#ready) this.#parts.onReady(this.#mount?.mountpoint);
    this.#ready = true;
    // What was signalled while no process served.
    for (const signal of this.#signals) this.#tellToEnd(signal);
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
    if (looping) log.error(fields, 'engine crash loop; the mount is kept, restarts are slower');
    else log.warn(fields, 'the engine died; starting it again');
    this.#fallback.begin(looping ? 0 : FALLBACK_MS);
    if (this.#signals.length > 0) this.#lastResort.in(NEXT_ENGINE_MS, NO_ENGINE);
    if (waitMs > 0) await sleep(clock, waitMs);
    if (this.#lastResort.inUse) return;
    this.#engine = this.#start();
    const engine = this.#engine;
    withinStart(engine.hears('serving'), clock).then(
      () => log.info({ pid: engine.pid, ms: Math.round(clock.now() - died) }, 'the mount is served again'),
      () => engine.kill('SIGKILL'),
    );
  }

  async #handOver(id: string): Promise<void> {
    const { log, clock } = this.#parts;
    if (!this.#survives) {
      const failed = 'no other engine can take over here (this needs Linux 6.9 or the koffi package)';
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
        this.#begin(successor, nameProcess(old.pid));
      },
      rollBack: () => {
        this.#engine = old;
        this.#servingSince = clock.now();
        for (const signal of this.#signals) this.#tellToEnd(signal);
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
}
