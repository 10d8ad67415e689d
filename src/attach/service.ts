import { CinderfsError, reasonOf } from '../errors.js';
import type { CatalogSnapshot } from '../cinder/contract/catalog.js';
import { unusable } from '../sys/files/kept-directory.js';
import type { AttachContext } from './context/context.js';
import type { AttachFigures } from './lifecycle/figures.js';
import { contextOf } from './host-context.js';
import { OwnerLock } from './journal/owner-lock.js';
import type {
  AcquireOptions,
  AttachableImage,
  AttachmentPool,
  AttachmentReport,
  Lease,
} from './contract/lease.js';
import { Pool } from './lifecycle/pool.js';
import { reap, sweepClones } from './cleanup/reap.js';
import type { Leftover, ReapOptions } from './contract/leftovers.js';
import { sweepPins } from './cleanup/stale-pins.js';
import { Watcher } from './lifecycle/watcher.js';
import type { PoolOptions } from './pool-options.js';

/** Milliseconds between looks for what Cinder has or lacks without our doing. */
const SWEEP_MS = 24 * 3_600_000;

/** The attachments of this host as the daemon runs them. Order: start, acquire..., drain, close. */
export interface PoolService extends AttachmentPool {
  /** Takes the state directory (`owner_exists`), then adopts or undoes what an earlier process left, in the background. */
  start(): Promise<void>;
  /** See Pool.settled: for a pool that was started in place, once every open file has its lease again. */
  settled(): void;
  /** See Pool.drain. Resolves with what is still attached: nothing, if all went well. */
  drain(options: { readonly deadlineMs: number }): Promise<readonly AttachmentReport[]>;
  /** See Pool.releaseImage. */
  releaseImage(imageId: string): Promise<boolean>;
  /** Told of an open that was refused before it came here, for `user.cinderfs.last_error`. */
  openRefused(imageId: string, error: CinderfsError): void;
  /** Told of a read that failed, for `user.cinderfs.last_error` and the status. */
  readFailed(imageId: string, error: CinderfsError): void;
  /** The last failure of each image whose last open or read failed. */
  lastErrors(): readonly { readonly imageId: string; readonly line: string }[];
  /** Gauges and counters of this moment. Undefined before start(). */
  figures(): AttachFigures | undefined;
  /** Fences what the new catalog does not have any more. For Catalog.onChange. */
  review(snapshot: CatalogSnapshot): void;
  /** Deletes, or with `dryRun` names, what is ours in Cinder and no journal remembers; see reap.ts. */
  reap(options: ReapOptions): Promise<readonly Leftover[]>;
  /**
   * Instead of start(), where no daemon is to run any more: takes the state directory, undoes what the journal has,
   * reaps and gives the directory up. `owner_exists` while a daemon owns it.
   */
  settle(options: ReapOptions & { readonly deadlineMs: number }): Promise<readonly Leftover[]>;
  /** Resolves when nothing is attached, lingering or being undone. */
  quiet(): Promise<void>;
  /** Why the journal cannot be written now; undefined when it can. */
  journalTrouble(): Promise<CinderfsError | undefined>;
  /** Lets a successor take the state directory, and takes it back from one that did not take over. */
  handOver(): Promise<void>;
  takeBack(): Promise<void>;
  /** Stops timers and retries and gives the state directory up. What is attached stays in the journal. */
  close(): Promise<void>;
}

/** Wires the attachment pool. Nothing happens before start(). */
export function createAttachmentPool(options: PoolOptions): PoolService {
  return new Service(options);
}

class Service implements PoolService {
  readonly #options: PoolOptions;
  readonly #end = new AbortController();
  #lock: OwnerLock | undefined;
  #context: AttachContext | undefined;
  #pool: Pool | undefined;
  #watcher: Watcher | undefined;
  #stopSweeps: () => void = () => undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    try {
      const context = await this.#own();
      this.#watcher = new Watcher(this.#recover(context), context, this.#options.watchMs ?? 30_000);
      this.#watcher.start();
      void this.#sweep(context);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async acquire(image: AttachableImage, options: AcquireOptions): Promise<Lease> {
    return this.#started.acquire(image, options);
  }

  report(): readonly AttachmentReport[] {
    return this.#pool?.report() ?? [];
  }

  lastError(imageId: string): string | undefined {
    return this.#pool?.lastError(imageId);
  }

  safety(imageId: string): string | undefined {
    return this.#context?.heads.verdictOf(imageId);
  }

  settled(): void {
    this.#pool?.settled();
  }

  async drain(options: { readonly deadlineMs: number }): Promise<readonly AttachmentReport[]> {
    return (await this.#pool?.drain(options)) ?? [];
  }

  async releaseImage(imageId: string): Promise<boolean> {
    return this.#started.releaseImage(imageId);
  }

  openRefused(imageId: string, error: CinderfsError): void {
    this.#pool?.openRefused(imageId, error);
  }

  readFailed(imageId: string, error: CinderfsError): void {
    this.#pool?.readFailed(imageId, error);
  }

  lastErrors(): ReturnType<PoolService['lastErrors']> {
    return this.#pool?.lastErrors() ?? [];
  }

  figures(): AttachFigures | undefined {
    return this.#pool?.figures();
  }

  review(snapshot: CatalogSnapshot): void {
    this.#watcher?.review(snapshot);
  }

  async reap(options: ReapOptions): Promise<readonly Leftover[]> {
    if (this.#context === undefined) throw notStarted();
    return reap(this.#context, options, this.#end.signal);
  }

  async settle(options: ReapOptions & { readonly deadlineMs: number }): Promise<readonly Leftover[]> {
    try {
      const context = await this.#own();
      const recorded = options.deadHost === undefined ? context.journal.list() : [];
      if (recorded.length > 0 && !options.dryRun) await this.#recover(context).drain(options);
      const found = await reap(context, options, this.#end.signal);
      const owner = context.properties.mountpoint;
      const undone = recorded.map(({ volumeId, attachmentId }): Leftover => {
        const deleted = context.journal.get(volumeId) === undefined;
        return { what: 'attachment', volumeId, attachmentId, owner, deleted };
      });
      return [...undone, ...found];
    } finally {
      await this.close();
    }
  }

  async quiet(): Promise<void> {
    await this.#pool?.quiet();
  }

  async journalTrouble(): Promise<CinderfsError | undefined> {
    try {
      await this.#lock?.check();
      return undefined;
    } catch (cause) {
      return unusable('state_dir', this.#options.stateDir, `cannot be written: ${reasonOf(cause)}`, {
        cause,
      });
    }
  }

  async handOver(): Promise<void> {
    await this.#giveUp();
  }

  async takeBack(): Promise<void> {
    const { stateDir, mountpoint } = this.#options;
    this.#lock ??= await OwnerLock.take(stateDir, mountpoint);
  }

  async close(): Promise<void> {
    this.#watcher?.stop();
    this.#stopSweeps();
    this.#end.abort(new CinderfsError('draining', 'the daemon is about to exit'));
    await this.#giveUp();
  }

  /** A note of the owner that cannot be removed hides nothing of what has to be told. */
  async #giveUp(): Promise<void> {
    const lock = this.#lock;
    this.#lock = undefined;
    await lock?.release().catch((error: unknown) => {
      const { log, stateDir: path } = this.#options;
      log.warn({ path, reason: reasonOf(error) }, 'cannot remove the owner note of the state directory');
    });
  }

  /** Takes the state directory and reads the journal. */
  async #own(): Promise<AttachContext> {
    const { stateDir, mountpoint } = this.#options;
    this.#lock = await OwnerLock.take(stateDir, mountpoint);
    this.#context = await contextOf(this.#options);
    return this.#context;
  }

  /** What another life cloned and no journal tells of, and what was pinned of volumes that are gone; the next sweep tries again what fails now. */
  async #sweep(context: AttachContext): Promise<void> {
    try {
      await sweepClones(context, this.#end.signal);
    } catch (error) {
      context.log.warn({ reason: reasonOf(error) }, 'could not look for clones that no journal remembers');
    }
    await sweepPins(context).catch((error: unknown) =>
      context.log.debug({ reason: reasonOf(error) }, 'could not look for volumes that are gone'),
    );
    if (!this.#end.signal.aborted)
      this.#stopSweeps = context.clock.after(SWEEP_MS, () => void this.#sweep(context));
  }

  #recover(context: AttachContext): Pool {
    this.#pool = new Pool(context, this.#end.signal);
    this.#pool.recover(context.journal.list());
    return this.#pool;
  }

  get #started(): Pool {
    if (this.#pool === undefined) throw notStarted();
    return this.#pool;
  }
}

function notStarted(): CinderfsError {
  return new CinderfsError('internal', 'the attachment pool was not started');
}
