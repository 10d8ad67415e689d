/**
 * The life of a lease, in order, with file names (all in lifecycle/ unless said otherwise):
 *
 *  1. fs/open-files.ts asks for the image's volume. daemon/open-gate.ts refuses while the mount is taken down.
 *  2. pool.ts: one Attachment per volume. ceilings.ts charges the user that opens; at the ceiling of the host a lingering
 *     attachment gives way. Whatever fails from here on is kept by last-errors.ts.
 *  3. attachment.ts drives the volume: state.ts says what an event leads to, attachment.ts does it. opening.ts is one
 *     opener's way: leave the volume to Glance while that hashes the image (glance-hashes.ts), claim what is held or wait
 *     for it (waiters.ts), prove it again if it was there before, at most twice.
 *  4. Nothing is held: attach-sequence.ts. reserve.ts takes a slot and reserves in Cinder (orphan.ts finds what an
 *     unanswered request made), target/ makes a clone where the volume must not be locked, export-volume.ts names this
 *     host, the connector connects (connectors are in attach/, each in the bulkhead of attach/connectors/bounded-connector.ts),
 *     connect-proven.ts and identity.ts prove. outage.ts waits for a Cinder that is away, refusal.ts words its answers.
 *     Each step is in the journal (attach/journal/) before it is taken.
 *  5. Held (live-attachment.ts): lease-on.ts makes the lease. Its `fenced` aborts when the bytes may be another's.
 *  6. While it is held: watcher.ts and standing.ts ask Cinder whether it still stands and review each new list of images;
 *     reconnect.ts connects again what vanished; proofs are shared (live-attachment.ts).
 *  7. release(): the last lease starts the linger (linger.ts), which is one more lease; for a volume that is not
 *     multiattach, or not listed any more, or whose opener said `evict`, there is none.
 *  8. detaching.ts tries undo.ts until nothing is left: disconnect on this host, delete the attachment, delete the clone,
 *     clear the record. The same undo rolls a failed attach back.
 *  9. A crash anywhere: the next process reads the journal; adopt.ts takes over what is whole, undo.ts removes the rest.
 *     Where the mount stands meanwhile, what has no lease is parked until settled(): its files are being opened again.
 *     reap.ts finds what no journal remembers, stale-pins.ts forgets what was proven of volumes that are gone.
 */
import { CinderfsError } from '../../errors.js';
import { Attachment } from './attachment.js';
import { DEFAULT_CEILINGS, tooMany, Users } from '../context/ceilings.js';
import { LastErrors } from './last-errors.js';
import type { AttachContext } from '../context/context.js';
import { type AttachFigures, measure } from './figures.js';
import type {
  AcquireOptions,
  AttachableImage,
  AttachmentPool,
  AttachmentReport,
  Lease,
} from '../contract/lease.js';
import type { AttachmentRecord } from '../journal/record.js';

/** The attachments of this host: one per volume, however many openers. */
export class Pool implements AttachmentPool {
  readonly #context: AttachContext;
  readonly #end: AbortSignal;
  readonly #attachments = new Map<string, Attachment>();
  readonly #lastErrors = new LastErrors();
  readonly #users: Users;
  #quiet: (() => void)[] = [];
  #draining = false;
  /** Whether every file of an earlier engine is open again; there was none unless this process takes a mount over. */
  #settled: boolean;

  /** `end` aborts when the process is about to exit: retries of failed detaches stop, the journal keeps them. */
  constructor(context: AttachContext, end: AbortSignal) {
    this.#context = context;
    this.#users = new Users(context.ceilings ?? DEFAULT_CEILINGS);
    this.#end = end;
    this.#settled = context.inPlace !== true;
  }

  async acquire(image: AttachableImage, options: AcquireOptions = {}): Promise<Lease> {
    try {
      if (this.#draining) throw new CinderfsError('draining', 'the mount is being taken down');
      const lease = await this.#admitted(image, options);
      this.#lastErrors.forget(image.id);
      return lease;
    } catch (thrown) {
      const error = CinderfsError.from(thrown).within({ image: image.id, volume: image.volumeId });
      this.openRefused(image.id, error);
      throw error;
    }
  }

  /** A lease that its user is charged with until it is released. */
  async #admitted(image: AttachableImage, { signal, uid }: AcquireOptions): Promise<Lease> {
    const single = !image.multiattach && this.#context.isolate === 'none';
    const leave = this.#users.enter(image, uid, single);
    try {
      this.#makeRoomFor(image);
      const lease = await this.#attachmentOf(image).acquire(image, signal);
      const release: Lease['release'] = (how) => {
        leave();
        lease.release(how);
      };
      return { ...lease, release };
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** At the ceiling of the host, an attachment without a reader gives way to one that is wanted. */
  #makeRoomFor({ volumeId }: AttachableImage): void {
    const { perHost } = this.#context.ceilings ?? DEFAULT_CEILINGS;
    if (this.#attachments.has(volumeId) || this.#attachments.size < perHost) return;
    const unread = this.all().find(({ state }) => state === 'lingering');
    if (unread === undefined)
      throw tooMany(
        `${this.#attachments.size} volumes are attached to this host already`,
        'attachments_per_host',
      );
    unread.letGo();
  }

  report(): readonly AttachmentReport[] {
    return [...this.#attachments.values()].map((attachment) => attachment.report());
  }

  lastError(imageId: string): string | undefined {
    return this.#lastErrors.get(imageId);
  }

  safety(imageId: string): string | undefined {
    return this.#context.heads.verdictOf(imageId);
  }

  lastErrors(): ReturnType<LastErrors['list']> {
    return this.#lastErrors.list();
  }

  /** Keeps why the image could not be opened. */
  openRefused(imageId: string, error: CinderfsError): void {
    this.#lastErrors.note(imageId, error);
  }

  /** A read of the image failed, after the open that attached it had succeeded. */
  readFailed(imageId: string, error: CinderfsError): void {
    this.#context.counters.read_failures++;
    this.#lastErrors.note(imageId, error);
    for (const attachment of this.#of(imageId)) attachment.failures.note(error);
  }

  /** Forgets failures of images that have neither a name nor an open file. */
  keepErrorsOf(images: ReadonlyMap<string, unknown>): void {
    const held = new Set(this.all().map(({ imageId }) => imageId));
    this.#lastErrors.keepOnly((imageId) => images.has(imageId) || held.has(imageId));
  }

  figures(): AttachFigures {
    return measure(this.all(), this.#context);
  }

  /** Takes over what an earlier process recorded: each is adopted or undone in the background. */
  recover(records: readonly AttachmentRecord[]): void {
    for (const record of records) {
      const { imageId: id, imageName: name, imageSize: size, volumeId, multiattach } = record;
      this.#attachmentOf({ id, name, size, volumeId, multiattach, diskFormat: '' }).recover(record);
    }
  }

  /**
   * Everything that an earlier engine had open is open again, or cannot be opened. What was recovered and has no lease
   * is parked until then, however long that takes; from now on it lingers or is detached. For a mount that is taken
   * over (AttachContext.inPlace); otherwise nothing is parked. Idempotent.
   */
  settled(): void {
    this.#settled = true;
    for (const attachment of this.all()) attachment.settle();
  }

  /**
   * Detaches the image's volume now, without lingering; resolves once it is detached. False when it was not attached.
   * Rejects with `holders` when it is open or being opened (nothing is changed then), with `detach_failed` when it could not be
   * detached at once: that is tried again in the background.
   */
  async releaseImage(imageId: string): Promise<boolean> {
    const held = this.#of(imageId);
    const leases = held.reduce((total, attachment) => total + attachment.leases, 0);
    const opens = held.reduce((total, attachment) => total + attachment.waiting, 0);
    const remedy = 'Close the files that use it, then release it again.';
    if (!this.#settled && held.length > 0)
      throw new CinderfsError('holders', 'the files of the mount are being opened again', {
        image: imageId,
        remedy: 'Release it again in a moment.',
      });
    if (leases > 0)
      throw new CinderfsError(
        'holders',
        `the image is open: ${leases} ${leases === 1 ? 'lease' : 'leases'}`,
        { image: imageId, remedy },
      );
    if (opens > 0)
      throw new CinderfsError(
        'holders',
        `the image is being opened: ${opens} ${opens === 1 ? 'open' : 'opens'}`,
        {
          image: imageId,
          remedy,
        },
      );
    await Promise.all(held.map((attachment) => attachment.letGoNow()));
    return held.length > 0;
  }

  all(): readonly Attachment[] {
    return [...this.#attachments.values()];
  }

  /**
   * Refuses new openers (`draining`) and detaches everything: at once what has no reader, and at the deadline the rest,
   * whose leases are cut then. Resolves with what could not be detached in a second term of the same length.
   */
  async drain(options: { readonly deadlineMs: number }): Promise<readonly AttachmentReport[]> {
    this.#draining = true;
    for (const attachment of this.all()) attachment.drain();
    await this.#quietWithin(options.deadlineMs);
    for (const attachment of this.all())
      attachment.fence(
        new CinderfsError('draining', 'the mount was taken down under an open file', {
          volume: attachment.volumeId,
        }),
      );
    await this.#quietWithin(options.deadlineMs);
    return this.report();
  }

  /** Resolves when no attachment is left. */
  quiet(): Promise<void> {
    if (this.#attachments.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#quiet.push(resolve));
  }

  async #quietWithin(ms: number): Promise<void> {
    const deadline = new Promise<void>((resolve) => {
      const stop = this.#context.clock.after(ms, resolve);
      void this.quiet().then(stop);
    });
    await Promise.race([this.quiet(), deadline]);
  }

  #of(imageId: string): readonly Attachment[] {
    return this.all().filter((attachment) => attachment.imageId === imageId);
  }

  #attachmentOf(image: AttachableImage): Attachment {
    const known = this.#attachments.get(image.volumeId);
    if (known !== undefined) return known;
    const onIdle = (): void => {
      this.#attachments.delete(image.volumeId);
      if (this.#attachments.size > 0) return;
      for (const resolve of this.#quiet.splice(0)) resolve();
    };
    const owner = { end: this.#end, settled: () => this.#settled, onIdle };
    const made = new Attachment(image, this.#context, owner);
    this.#attachments.set(image.volumeId, made);
    return made;
  }
}
