import { spawn } from 'node:child_process';
import { systemClock, type Clock } from '../async/clock.js';
import type { ServiceManager } from './service-manager.js';

/** One question to the mount. */
export interface Probe {
  /** Settles when it was answered, true if well; not before, however long that takes. */
  readonly answered: Promise<boolean>;
  /** Nobody waits for the answer any more. */
  abandon(): void;
}

export interface WatchdogParts {
  /** The service manager kills this process when it hears nothing for so many milliseconds. */
  readonly withinMs: number;
  readonly mountpoint: string;
  /** One engine is dead or going and the next does not serve yet. */
  readonly between: () => boolean;
  readonly feed: () => void;
  readonly clock: Clock;
  /** Default: a stat of the file system by a process of its own. */
  readonly probe?: (mountpoint: string) => Probe;
}

/**
 * Feeds the service manager's watchdog as long as the mount answers through the kernel. Between two engines it is fed
 * without: readers wait then and lose nothing, and this process does what the service manager's restart would do, which
 * would cost them the mount. An engine that lives and does not answer gets no such mercy.
 */
export class Watchdog {
  readonly #parts: WatchdogParts;
  #probe: Probe | undefined;
  #cancel: () => void = () => undefined;

  constructor(parts: WatchdogParts) {
    this.#parts = parts;
  }

  /** Twice as often as it must be: half of it is for the answer. */
  start(): void {
    const { clock, withinMs } = this.#parts;
    this.#cancel = clock.after(withinMs / 2, () => this.start());
    this.#beat();
  }

  stop(): void {
    this.#cancel();
    this.#probe?.abandon();
  }

  #beat(): void {
    const { between, feed, mountpoint, probe = statProcess } = this.#parts;
    if (between()) feed();
    // One at a time: a mount that does not answer must not collect processes that wait for it.
    else if (this.#probe === undefined) void this.#ask(probe(mountpoint));
  }

  async #ask(probe: Probe): Promise<void> {
    this.#probe = probe;
    if (await probe.answered) this.#parts.feed();
    this.#probe = undefined;
  }
}

/** The watchdog that `manager` asks for; undefined where it asks for none. */
export function watchOver(
  mountpoint: string,
  manager: ServiceManager,
  between: () => boolean,
): Watchdog | undefined {
  const { watchdogMs: withinMs } = manager;
  if (withinMs === undefined) return undefined;
  return new Watchdog({ withinMs, mountpoint, between, feed: () => manager.alive(), clock: systemClock });
}

/**
 * Never by a thread of this process: a request that the engine has read cannot be interrupted, and while a thread waits
 * for it the process cannot end, nor its /dev/fuse be closed, which alone would end the request.
 */
function statProcess(mountpoint: string): Probe {
  const child = spawn('stat', ['--file-system', '--format=%T', '--', mountpoint], { stdio: 'ignore' });
  child.unref();
  const answered = new Promise<boolean>((resolve) => {
    child.once('exit', (status) => resolve(status === 0));
    child.once('error', () => resolve(false));
  });
  return { answered, abandon: () => void child.kill('SIGKILL') };
}
