import { spawn, type ChildProcess } from 'node:child_process';
import { CinderfsError } from '../errors.js';
import type { ToEngine, ToSupervisor } from './messages.js';
import { messageIn, protocolWith } from './protocol.js';

/**
 * Young objects of the engine are requests, which die at once, or the catalog, which stays: room for more of them than
 * 2 MiB (Node's own: 16) is memory that an idle mount holds, and no gain.
 */
const ENGINE_FLAGS = ['--max-semi-space-size=2', ...withoutInspector()];

/** SIGUSR1 would open it in the moment before the launcher listens, where Node (22.14 and later) can be told not to. */
function withoutInspector(): readonly string[] {
  const flag = '--disable-sigusr1';
  return process.allowedNodeEnvironmentFlags.has(flag) ? [flag] : [];
}

/** What a process of the supervisor's is given. */
export interface Inherited {
  /** Its descriptor 3; undefined: none. */
  readonly fd: number | undefined;
  /** Its stderr, and with it its log; undefined: ours. */
  readonly logFd?: number | undefined;
}

/** How a process ended: `status` or `signal`, the other is null. */
export interface Ending {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

type Kind = ToSupervisor['kind'];
type Listener = (message: ToSupervisor) => void;

/** An engine that speaks no protocol of ours cannot start. */
function understood(message: ToSupervisor | undefined): ToSupervisor | undefined {
  try {
    if (message?.kind === 'warm') protocolWith(message, 'engine');
    return message;
  } catch (thrown) {
    const error = CinderfsError.from(thrown);
    return { kind: 'failed', exit: error.kind.exit, line: error.toLine() };
  }
}

/** One engine, seen from its supervisor. */
export class EngineProcess {
  readonly ended: Promise<Ending>;
  readonly #child: ChildProcess;
  readonly #heard = new Map<Kind, ToSupervisor>();
  readonly #waiting = new Map<Kind, Listener[]>();
  #alive = true;

  /**
   * Starts `command` in a session of its own: what a terminal sends to its foreground must reach the engine through the
   * supervisor only, once. `onMessage` hears everything it says.
   */
  constructor(
    command: readonly string[],
    { fd, logFd }: Inherited,
    onMessage: (message: ToSupervisor) => void,
  ) {
    this.#child = spawn(process.execPath, [...process.execArgv, ...ENGINE_FLAGS, ...command], {
      detached: true,
      stdio: ['ignore', 'inherit', logFd ?? 'inherit', fd ?? 'ignore', 'ipc'],
    });
    this.ended = new Promise((resolve) => {
      this.#child.once('exit', (status, signal) => this.#end({ status, signal }, resolve));
      this.#child.once('error', () => this.#end({ status: null, signal: null }, resolve));
    });
    this.#child.on('message', (value) => {
      const message = understood(messageIn(value) as ToSupervisor | undefined);
      if (message === undefined) return;
      this.#hear(message);
      onMessage(message);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** The protocol that both sides speak; 1 before it has said what it speaks. */
  get protocol(): number {
    const warm = this.#heard.get('warm');
    return warm?.kind === 'warm' ? protocolWith(warm, 'engine') : 1;
  }

  /** Whether it has said `kind` yet. */
  said(kind: Kind): boolean {
    return this.#heard.has(kind);
  }

  /** Resolves when it has said one of `kinds`; rejects when it ends without. */
  async hears<K extends Kind>(...kinds: readonly K[]): Promise<Extract<ToSupervisor, { kind: K }>> {
    const message = await Promise.race([
      ...kinds.map((kind) => this.#once(kind)),
      this.ended.then(({ status, signal }) => {
        throw new CinderfsError('internal', `the engine ended (${signal ?? `status ${status ?? '?'}`})`);
      }),
    ]);
    return message as Extract<ToSupervisor, { kind: K }>;
  }

  /** Tells it something and waits for the answer, whatever it said before. */
  asks<K extends Kind>(
    message: ToEngine,
    ...kinds: readonly K[]
  ): Promise<Extract<ToSupervisor, { kind: K }>> {
    for (const kind of kinds) this.#heard.delete(kind);
    this.tell(message);
    return this.hears(...kinds);
  }

  tell(message: ToEngine): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  #once(kind: Kind): Promise<ToSupervisor> {
    const heard = this.#heard.get(kind);
    if (heard !== undefined) return Promise.resolve(heard);
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(kind) ?? [];
      this.#waiting.set(kind, [...waiting, resolve]);
    });
  }

  #hear(message: ToSupervisor): void {
    this.#heard.set(message.kind, message);
    const waiting = this.#waiting.get(message.kind) ?? [];
    this.#waiting.delete(message.kind);
    for (const resolve of waiting) resolve(message);
  }

  #end(ending: Ending, resolve: (ending: Ending) => void): void {
    this.#alive = false;
    resolve(ending);
  }
}
