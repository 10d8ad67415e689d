import type { Cleanup } from '../async/cleanup.js';
import { sleep, type Clock } from '../async/clock.js';
import { CinderfsError, reasonOf } from '../errors.js';
import type { MountedTransport } from '../fs/transport.js';
import type { Log } from '../log.js';
import type { OpenGate } from './open-gate.js';

/** How often a busy mount is tried again while it drains. */
const RETRY_MS = 200;

export interface ShutdownParts {
  readonly transport: MountedTransport;
  readonly gate: OpenGate;
  readonly cleanup: Cleanup;
  /** Milliseconds that stop() waits for open files. */
  readonly drainMs: number;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * Takes a mount down. The order is fixed: the mount goes first (nobody opens any more), then the attachments, then
 * the OpenStack session; whatever ends the mount (umount(8), a signal, the control socket) ends up here.
 */
export class Shutdown {
  /** Settles when nothing is mounted or attached any more; rejects with the first thing that had to be left. */
  readonly finished: Promise<void>;
  readonly #parts: ShutdownParts;
  readonly #hurry = new AbortController();
  /** Called when the kernel cannot be told to let go: the exit of this process makes it. */
  #giveUp: () => void = () => undefined;
  #stopping: Promise<void> | undefined;

  constructor(parts: ShutdownParts) {
    this.#parts = parts;
    const givenUp = new Promise<void>((resolve) => (this.#giveUp = resolve));
    this.finished = Promise.race([parts.transport.ended, givenUp]).then(
      () => this.#finish(),
      (error: unknown) => this.#abandon(error),
    );
    // Whoever awaits it gets the failure; one that nobody awaits yet must not crash the process.
    this.finished.catch(() => undefined);
  }

  /** No longer waits for open files. */
  hurry(): void {
    this.#hurry.abort();
  }

  /** Waits for open files, then takes the mount from under them; settles like `finished`. */
  stop(why: string): Promise<void> {
    this.#stopping ??= this.#stop(why);
    return this.#stopping;
  }

  /**
   * Unmounts if nobody holds the mount, or nobody any more within `drainMs`, in which nobody may open; otherwise throws
   * `holders` and serves on as before.
   */
  async unmount(drainMs = 0): Promise<void> {
    this.#parts.gate.closed = true;
    try {
      await this.#unmountInTime(drainMs);
    } catch (error) {
      this.#parts.gate.closed = this.#stopping !== undefined;
      throw error;
    }
    await this.finished;
  }

  /** Hides the mount at once; who has a file open reads on, and the last close ends it. */
  async unmountLazily(): Promise<void> {
    this.#parts.gate.closed = true;
    await this.#parts.transport.unmount({ lazy: true });
  }

  async #stop(why: string): Promise<void> {
    const { log, transport, gate } = this.#parts;
    log.info({ why }, 'stopping');
    gate.closed = true;
    try {
      await this.#unmountInTime(this.#parts.drainMs);
    } catch (error) {
      log.warn({ reason: reasonOf(error) }, 'still busy; taking the mount from under the open files');
      await transport.unmount({ abort: true }).catch((failure: unknown) => {
        log.warn({ reason: reasonOf(failure) }, 'the kernel keeps the connection until this process ends');
        this.#giveUp();
      });
    }
    await this.finished;
  }

  /** Tries until nobody holds the mount, the time is over or somebody is in a hurry. */
  async #unmountInTime(drainMs: number): Promise<void> {
    const { clock, transport } = this.#parts;
    const until = clock.now() + drainMs;
    for (;;) {
      try {
        await transport.unmount();
        return;
      } catch (error) {
        const busy = CinderfsError.is(error) && error.code === 'holders';
        if (!busy || clock.now() >= until || this.#hurry.signal.aborted) throw error;
      }
      await sleep(clock, RETRY_MS, this.#hurry.signal).catch(() => undefined);
    }
  }

  /** The mount stands and cannot be served any more: it goes, and so does this process, which says why. */
  async #abandon(error: unknown): Promise<never> {
    await this.#finish().catch((failure: unknown) =>
      this.#parts.log.error({ reason: reasonOf(failure) }, 'something was left behind'),
    );
    throw error;
  }

  async #finish(): Promise<void> {
    const { gate, cleanup, log } = this.#parts;
    gate.closed = true;
    const failures = await cleanup.run();
    for (const { what, error } of failures) log.error({ reason: reasonOf(error) }, `could not ${what}`);
    const [first] = failures;
    if (first !== undefined) throw CinderfsError.from(first.error);
  }
}
