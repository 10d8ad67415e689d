import { systemClock } from '../async/clock.js';
import { withDeadline } from '../async/deadline.js';
import { CinderfsError } from '../errors.js';
import type { MountRequest } from '../fs/mount/mount-command.js';
import { receiveDevice } from '../fs/mount/mount-command.js';
import type { MountEntry } from '../sys/mounts/mount-table.js';
import type { Agreement } from '../fs/fuse/protocol/negotiation.js';
import { killProcess } from '../sys/processes/end-process.js';
import type { ProcessName } from '../sys/processes/process-name.js';
import type { ServedMount, Supervision, ToEngine, ToSupervisor } from './messages.js';
import { packAgreement, unpackAgreement } from './messages.js';
import { messageIn, protocolWith, SPEAKER } from './protocol.js';

/** The descriptor that the supervisor passes to every engine. */
const INHERITED_FD = 3;

/** It tells its engines the settings before they run: what is not there by then does not come. */
const SETTINGS_MS = 15_000;

/** What an engine is told to do. */
export interface EngineAssignment {
  /** Engines that served this mount before. */
  readonly generation: number;
  /** The mount that stands; undefined for the first engine, which asks for it when it is ready. */
  readonly mount: ExistingMount | undefined;
}

export interface ExistingMount {
  readonly fuseFd: number;
  readonly mountpoint: string;
  readonly agreement: Agreement;
  /** The mount as the kernel numbered it. */
  readonly place: MountEntry | undefined;
}

export interface Agreed {
  readonly agreement: Agreement;
  /** Whether another engine can take over. */
  readonly outlives: boolean;
}

/** What an engine does for an upgrade. */
export interface Handover {
  /** Comes to rest so that a successor can take over; throws why it cannot. */
  yield(): Promise<void>;
  /** The successor did not: goes on. */
  resume(): Promise<void>;
}

type Told = Extract<ToEngine, { kind: 'settings' }>;

/** An engine's side of the channel to its supervisor. */
export class SupervisorLink {
  #supervision: Supervision | undefined;
  #handover: Handover | undefined;
  readonly #waiting = new Map<ToEngine['kind'], (message: ToEngine) => void>();
  /** Settles when the supervisor is dead. */
  readonly #gone: Promise<void>;
  /** The engine that this one takes over from. */
  #predecessor: ProcessName | undefined;

  readonly #settings: Promise<Told>;
  #keep: (told: Told) => void = () => undefined;

  private constructor() {
    this.#settings = new Promise((resolve) => (this.#keep = resolve));
    process.on('message', (value) => {
      const message = messageIn(value);
      if (message !== undefined) this.#hear(message as ToEngine);
    });
    this.#gone = new Promise((resolve) => {
      process.once('disconnect', resolve);
      if (!process.connected) resolve();
    });
    // An engine that has come to rest for a successor must not rest for ever.
    void this.#gone.then(() => this.#handover?.resume());
  }

  /** The link of a process that a supervisor started. */
  static connect(): SupervisorLink {
    if (process.send === undefined)
      throw new CinderfsError('usage', 'an engine is started by `cinderfs mount` only');
    return new SupervisorLink();
  }

  /** Calls `listener` when the supervisor dies: the mount lives on, but not longer than this process. */
  onGone(listener: () => void): void {
    void this.#gone.then(listener);
  }

  /** How this mount is supervised; undefined before begin(), and when the supervisor is dead. */
  get supervision(): Supervision | undefined {
    return process.connected ? this.#supervision : undefined;
  }

  /**
   * What the supervisor was told for its engines (SupervisorParts.settings). `upgrade_failed` for a supervisor of a
   * version that this one cannot work with, and for one that hands over no settings.
   */
  async settings(): Promise<unknown> {
    const told = withDeadline(this.#settings, { clock: systemClock, ms: SETTINGS_MS, onTimeout: noSettings });
    const { settings, ...speaker } = await this.#answered(told);
    protocolWith(speaker, 'supervisor');
    return settings;
  }

  /** Waits for this engine's turn; `loaded` settles when it can make the most of it. */
  async begin(loaded: Promise<unknown> = Promise.resolve()): Promise<EngineAssignment> {
    void loaded.then(() => this.#tell({ kind: 'hot' }));
    const { generation, mount, predecessor } = await this.#answered(
      this.#ask({ kind: 'warm', ...SPEAKER }, 'begin'),
    );
    this.#predecessor = predecessor;
    return { generation, mount: mount === undefined ? undefined : standing(mount) };
  }

  /** Has the supervisor mount; the descriptor. Throws what it throws. */
  async mount(request: MountRequest): Promise<number> {
    const asked = this.#ask({ kind: 'mount', request }, 'mounted', 'not_mounted');
    const answer = await this.#answered(asked);
    if (answer.kind === 'not_mounted')
      throw new CinderfsError(answer.code, answer.message, { remedy: answer.remedy });
    return answer.socket ? receiveDevice(INHERITED_FD) : INHERITED_FD;
  }

  /** What INIT settled: the supervisor keeps it for the engines to come, if there can be any. */
  agreed(mountpoint: string, { agreement, outlives }: Agreed): void {
    this.#tell({ kind: 'agreed', mount: { mountpoint, agreement: packAgreement(agreement), outlives } });
  }

  /**
   * Everything that was open is open again; resolves when no other process reads the descriptor. Should the supervisor die
   * meanwhile, the engine before this one is stopped and no other process would end it; a fallback responder ends by itself.
   */
  async recovered(): Promise<void> {
    const orphaned = this.#gone.then(() => this.#predecessor && end(this.#predecessor));
    await Promise.race([this.#ask({ kind: 'recovered' }, 'serve'), orphaned]);
  }

  serving(handover: Handover): void {
    this.#handover = handover;
    this.#tell({ kind: 'serving' });
  }

  failed(error: CinderfsError): void {
    this.#tell({ kind: 'failed', exit: error.kind.exit, line: error.toLine() });
  }

  /** It has taken the signal that ends it: what it does from now on may take its time. */
  stopping(): void {
    this.#tell({ kind: 'stopping' });
  }

  /** The mount is gone: this engine's exit is the end and no crash. */
  ending(): void {
    this.#tell({ kind: 'ending' });
  }

  /** Asks for a successor; what becomes of it shows in `supervision`. */
  upgrade(id: string): void {
    this.#tell({ kind: 'upgrade', id });
  }

  #tell(message: ToSupervisor): void {
    // A supervisor that died meanwhile needs to know nothing any more.
    if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
  }

  #ask<K extends ToEngine['kind']>(
    question: ToSupervisor,
    ...kinds: readonly K[]
  ): Promise<Extract<ToEngine, { kind: K }>> {
    return new Promise((resolve) => {
      for (const kind of kinds)
        this.#waiting.set(kind, (message) => resolve(message as Extract<ToEngine, { kind: K }>));
      this.#tell(question);
    });
  }

  /** Without a supervisor there is no answer, and nothing to serve yet. */
  #answered<T>(asked: Promise<T>): Promise<T> {
    const orphaned = this.#gone.then((): never => {
      throw new CinderfsError('not_running', 'the supervisor died before the mount was served');
    });
    return Promise.race([asked, orphaned]);
  }

  #hear(message: ToEngine): void {
    if ('supervision' in message) this.#supervision = message.supervision;
    if (message.kind === 'settings') this.#keep(message);
    if (message.kind === 'yield') void this.#yield();
    if (message.kind === 'resume') void this.#handover?.resume();
    const resolve = this.#waiting.get(message.kind);
    this.#waiting.delete(message.kind);
    resolve?.(message);
  }

  async #yield(): Promise<void> {
    try {
      if (this.#handover === undefined)
        throw new CinderfsError('not_running', 'the mount does not serve yet');
      await this.#handover.yield();
      this.#tell({ kind: 'yielded' });
    } catch (thrown) {
      this.#tell({ kind: 'refused', reason: CinderfsError.from(thrown).message });
    }
  }
}

/**
 * A supervisor of a version before the settings were kept: it has the engine read its own command line and environment,
 * which this version does not understand as that one did.
 */
function noSettings(): CinderfsError {
  return new CinderfsError(
    'upgrade_failed',
    'the supervisor of this mount hands over no settings: it is too old',
    {
      remedy: 'Install the version that made the mount again, or unmount and mount again.',
    },
  );
}

function standing({ mountpoint, agreement, place }: ServedMount): ExistingMount {
  return { fuseFd: INHERITED_FD, mountpoint, agreement: unpackAgreement(agreement), place };
}

/** One that is stuck in the kernel has been killed all the same: it reads no request any more. */
async function end(predecessor: ProcessName): Promise<void> {
  await killProcess(predecessor, systemClock).catch(() => undefined);
}
