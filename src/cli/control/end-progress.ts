import { sleep, systemClock } from '../../async/clock.js';
import { type ControlClient, waitsOf } from './control-client.js';

/** Milliseconds for a daemon to say what it waits for, before a person is told that it does not answer. */
const ANSWER_MS = 3_000;
/** How often the time that has passed is said. */
const STEP_S = 5;

/** What the end of a mount waits for: its daemon knows, and where that hangs, this command. One line each, for people. */
export class EndProgress {
  readonly #client: ControlClient;
  readonly #mountpoint: string;
  #own: (() => string) | undefined;

  constructor(client: ControlClient, mountpoint: string) {
    this.#client = client;
    this.#mountpoint = mountpoint;
  }

  async lines(): Promise<readonly string[]> {
    if (this.#own !== undefined) return [this.#own()];
    const over = new AbortController();
    const late = sleep(systemClock, ANSWER_MS, over.signal).then(() => this.#silent());
    try {
      return await Promise.race([waitsOf(this.#client), late]);
    } finally {
      over.abort();
    }
  }

  /** From now on it waits for the supervisor. */
  bySupervisor(pid: number): void {
    const began = systemClock.now();
    this.#own = () => {
      const passed = Math.floor((systemClock.now() - began) / 1000 / STEP_S) * STEP_S;
      return `the supervisor (pid ${pid}), which ends the mount without its engine: ${passed} s so far`;
    };
  }

  #silent(): readonly string[] {
    return [this.#own?.() ?? `the daemon of ${this.#mountpoint}, which does not answer`];
  }
}
