import type { Cleanup } from '../async/cleanup.js';
import { sleep, type Clock } from '../async/clock.js';
import { CinderfsError, reasonOf } from '../errors.js';
import type { MountedPlace } from '../fs/mount/mounted-place.js';
import type { MountedTransport } from '../fs/contract/transport.js';
import type { Log } from '../log.js';
import type { OpenGate } from './open-gate.js';

/** How often a busy mount is tried again while it drains. */
const RETRY_MS = 200;
/** The kernel tells us of a close after close(2) has returned: files that are open still may be so for this long. */
const SETTLE_MS = 1_000;
const SETTLED_MS = 20;
const UNSEEN_MS = 3_000;
/** For the connection to end by itself once nothing is mounted here any more: nothing else need hold it. */
const GRACE_MS = 1_000;
/** For a connection that was ended to be gone from our threads. */
const CUT_MS = 5_000;
/** How often we check whether another process has unmounted. */
const WATCH_MS = 2_000;

export interface ShutdownParts {
  readonly transport: Pick<MountedTransport, 'ended'>;
  readonly place: Pick<MountedPlace, 'here' | 'unmount' | 'readers' | 'copies' | 'cutOff'>;
  readonly gate: Pick<OpenGate, 'closed'>;
  readonly cleanup: Cleanup;
  /** Image files that are open now. */
  readonly opened: () => number;
  /** Milliseconds that stop() waits for open files. */
  readonly drainMs: number;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * Takes a mount down. The order is fixed: the mount goes first (no more opens), then the attachments, then
 * the OpenStack session; whatever ends the mount (umount(8), a signal, the control socket) ends up here.
 *
 * That the mount is gone from this namespace does not end its file system: a bind mount, another mount namespace (any
 * user can make one) or an overlay keeps it. It is served there as long as files are open; with none open, its
 * connection is ended.
 */
export class Shutdown {
  /** Settles when nothing is mounted or attached any more; rejects with the first thing that had to be left. */
  readonly finished: Promise<void>;
  readonly #parts: ShutdownParts;
  readonly #hurry = new AbortController();
  /** Called when the kernel cannot be told to let go: the end of this process makes it. */
  #giveUp: () => void = () => undefined;
  #stopping: Promise<void> | undefined;
  /** Not mounted in this namespace any more. */
  #hidden = false;
  #ended = false;
  #gaveUp = false;

  constructor(parts: ShutdownParts) {
    this.#parts = parts;
    const givenUp = new Promise<void>((resolve) => (this.#giveUp = resolve));
    const ended = parts.transport.ended.finally(() => {
      this.#ended = true;
    });
    this.finished = Promise.race([ended, givenUp]).then(
      () => this.#finish(),
      (error: unknown) => this.#abandon(error),
    );
    // Its waiters get the failure; without a waiter it must not crash the process.
    this.finished.catch(() => undefined);
  }

  /** The kernel keeps the connection for as long as this process has it open: it cannot end in an orderly way. */
  get gaveUp(): boolean {
    return this.#gaveUp;
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
   * Unmounts if no file is open, or none any more within `drainMs`, in which none may be opened; otherwise throws
   * `holders` and serves on as before.
   */
  async unmount(drainMs = 0): Promise<void> {
    this.#parts.gate.closed = true;
    try {
      await this.#unmountInTime(drainMs);
    } catch (error) {
      this.#parts.gate.closed = this.#stopping !== undefined || this.#hidden;
      throw error;
    }
    await this.finished;
  }

  /** Hides the mount at once; open files stay readable, and the last close ends it. */
  async unmountLazily(): Promise<void> {
    this.#parts.gate.closed = true;
    await this.#parts.place.unmount({ lazy: true });
    this.#lookAfter();
  }

  /** Ends the mount also when another process unmounts it, as unmountLazily() does. */
  watch(): void {
    void this.#watch();
  }

  /** What the end of this mount waits for now; one line each, for people. */
  async waitsFor(): Promise<readonly string[]> {
    const { place, opened } = this.#parts;
    if (this.#ended) return [];
    if (opened() > 0) return [filesOpen(opened()), ...(await place.readers())];
    return place.copies();
  }

  async #stop(why: string): Promise<void> {
    const { log, gate, drainMs } = this.#parts;
    log.info({ why }, 'stopping');
    gate.closed = true;
    try {
      await this.#unmountInTime(drainMs);
    } catch (error) {
      log.warn({ reason: reasonOf(error) }, 'drain timeout: aborting open files and unmounting');
      await this.#cutOff();
    }
    await this.finished;
  }

  /** Tries until no file is open, the time is over or a caller hurries it. */
  async #unmountInTime(drainMs: number): Promise<void> {
    const { clock, place } = this.#parts;
    const until = clock.now() + drainMs;
    for (;;) {
      try {
        await this.#refuseOpenFiles();
        await place.unmount();
        break;
      } catch (error) {
        if (this.#ended) return;
        const busy = CinderfsError.is(error) && error.code === 'holders';
        if (!busy || clock.now() >= until || this.#hurry.signal.aborted) throw error;
      }
      await sleep(clock, RETRY_MS, this.#hurry.signal).catch(() => undefined);
    }
    await this.#endConnection();
  }

  /**
   * umount(2) refuses only for files that are open through the mount of this namespace. What no process has open is
   * being closed: of that we hear late on a busy host.
   */
  async #refuseOpenFiles(): Promise<void> {
    const { opened, place } = this.#parts;
    if (await this.#closesWithin(SETTLE_MS)) return;
    let lines = await place.readers();
    if (lines.length === 0) {
      if (await this.#closesWithin(UNSEEN_MS)) return;
      lines = [...(await place.readers()), ...(await place.copies())];
    }
    const who = lines.length > 0 ? lines.join('; ') : 'the processes that have them open are not visible';
    throw new CinderfsError('holders', `the mount is busy: ${filesOpen(opened())}: ${who}`);
  }

  async #closesWithin(ms: number): Promise<boolean> {
    const { clock, opened } = this.#parts;
    const until = clock.now() + ms;
    while (opened() > 0 && clock.now() < until && !this.#ended) await sleep(clock, SETTLED_MS);
    return opened() === 0 || this.#ended;
  }

  async #watch(): Promise<void> {
    const { clock, place, log } = this.#parts;
    while (!this.#ended && !this.#hidden) {
      // A mount table that cannot be read says nothing.
      if (await place.here().catch(() => true)) await sleep(clock, WATCH_MS);
      else {
        if (this.#stopping === undefined) log.info({}, 'not mounted at its mount point any more');
        this.#lookAfter();
      }
    }
  }

  /** The mount is gone from this namespace. */
  #lookAfter(): void {
    if (this.#hidden || this.#ended) return;
    this.#hidden = true;
    this.#parts.gate.closed = true;
    void this.#endAfterLastClose();
  }

  async #endAfterLastClose(): Promise<void> {
    const { clock, opened, log } = this.#parts;
    if (opened() > 0)
      log.info({ files: opened() }, 'the mount is hidden; files that are open are served to their close');
    while (opened() > 0 && !this.#ended) await sleep(clock, RETRY_MS);
    await this.#endConnection();
  }

  /** Nothing is mounted here and no file is open: what else has the file system mounted must not hold this process. */
  async #endConnection(): Promise<void> {
    if (await this.#endsWithin(GRACE_MS)) return;
    const also = await this.#parts.place.copies().catch(() => []);
    this.#parts.log.warn(
      { also: also.slice(0, 20) },
      'unmounted, but the file system is mounted elsewhere as well and no file is open there; ending it',
    );
    await this.#cutOff();
  }

  async #cutOff(): Promise<void> {
    const { place, log } = this.#parts;
    try {
      await place.cutOff();
      if (await this.#endsWithin(CUT_MS)) return;
      log.warn({}, 'the connection was ended, but threads still serve it; this process ends without them');
    } catch (error) {
      if (this.#ended) return;
      log.warn({ reason: reasonOf(error) }, 'cannot abort the FUSE connection; it ends with this process');
    }
    this.#gaveUp = true;
    this.#giveUp();
  }

  async #endsWithin(ms: number): Promise<boolean> {
    const { clock, transport } = this.#parts;
    const over = new AbortController();
    const ended = transport.ended.catch(() => undefined);
    await Promise.race([ended, sleep(clock, ms, over.signal).catch(() => undefined)]);
    over.abort();
    return this.#ended;
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

function filesOpen(count: number): string {
  return count === 1 ? '1 image file is open' : `${count} image files are open`;
}
