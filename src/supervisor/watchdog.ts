import { systemClock, type Clock } from '../async/clock.js';
import { type MountProbe, probeMount } from '../fs/mount/mount-probe.js';
import type { ServiceManager } from './service-manager.js';

export interface WatchdogParts {
  /** The service manager kills this process when it hears nothing for so many milliseconds. */
  readonly withinMs: number;
  readonly mountpoint: string;
  /** One engine is dead or going and the next does not serve yet. */
  readonly between: () => boolean;
  readonly feed: () => void;
  readonly clock: Clock;
  readonly probe: (mountpoint: string) => MountProbe;
}

/**
 * Feeds the service manager's watchdog as long as the mount answers through the kernel. Between two engines it is fed
 * without: readers wait then and lose nothing, and this process does what the service manager's restart would do, which
 * would cost them the mount. An engine that lives and does not answer gets no such mercy.
 */
export class Watchdog {
  readonly #parts: WatchdogParts;
  #probe: MountProbe | undefined;
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
    const { between, feed, mountpoint, probe } = this.#parts;
    if (between()) feed();
    // One at a time: a mount that does not answer must not collect processes that wait for it.
    else if (this.#probe === undefined) void this.#ask(probe(mountpoint));
  }

  async #ask(probe: MountProbe): Promise<void> {
    this.#probe = probe;
    if ((await probe.complaint) === undefined) this.#parts.feed();
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
  return new Watchdog({
    withinMs,
    mountpoint,
    between,
    feed: () => manager.alive(),
    probe: probeMount,
    clock: systemClock,
  });
}
