import type { Clock } from '../async/clock.js';
import { EngineProcess, type Inherited } from './engine-process.js';
import type { ToEngine } from './messages.js';

export interface FallbackParts {
  /** Arguments to Node that start a fallback responder (fs/fuse/recovery/fallback-responder.ts). */
  readonly command: readonly string[];
  /** Told first of all. */
  readonly told: ToEngine;
  /** With the mounted descriptor. */
  readonly inherits: () => Inherited;
  /** What an engine would be told to begin with. */
  readonly begin: () => ToEngine;
  readonly clock: Clock;
}

/** The time in which no engine serves: requests that wait longer than a moment are answered by a process of its own. */
export class FallbackProcess {
  readonly #parts: FallbackParts;
  #answerer: EngineProcess | undefined;
  #stop: (() => void) | undefined;

  constructor(parts: FallbackParts) {
    this.#parts = parts;
  }

  /** The mount has ended meanwhile. */
  get gone(): boolean {
    return this.#answerer?.said('ending') === true;
  }

  /** It begins in `ms`, unless it has already. */
  begin(ms: number): void {
    this.#stop?.();
    this.#stop = this.#parts.clock.after(ms, () => this.#start());
  }

  /** Resolves when only an engine reads the descriptor. */
  async end(): Promise<void> {
    this.#stop?.();
    const answerer = this.#answerer;
    this.#answerer = undefined;
    answerer?.kill('SIGKILL');
    await answerer?.ended;
  }

  #start(): void {
    if (this.#answerer?.alive === true) return;
    const { command, told, inherits, begin } = this.#parts;
    const answerer: EngineProcess = new EngineProcess(command, inherits(), (message) => {
      if (message.kind === 'warm') answerer.tell(begin());
    });
    answerer.tell(told);
    this.#answerer = answerer;
  }
}
