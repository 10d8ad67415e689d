import { CinderfsError } from '../../errors.js';
import { Attachment } from './attachment.js';
import { LastErrors } from './last-errors.js';
import type { AttachContext } from '../context.js';
import type { AttachFigures } from '../figures.js';
import type { AttachableImage, AttachmentPool, AttachmentReport, Lease } from '../lease.js';
import type { AttachmentRecord } from '../journal/record.js';

/** The attachments of this host: one per volume, however many openers. */
export class Pool implements AttachmentPool {
  readonly #context: AttachContext;
  readonly #end: AbortSignal;
  readonly #attachments = new Map<string, Attachment>();
  readonly #lastErrors = new LastErrors();
  #quiet: (() => void)[] = [];
  #draining = false;

  /** `end` aborts when the process is about to exit: retries of failed detaches stop, the journal keeps them. */
  constructor(context: AttachContext, end: AbortSignal) {
    this.#context = context;
    this.#end = end;
  }

  async acquire(
    image: AttachableImage,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Lease> {
    try {
      if (this.#draining) throw new CinderfsError('draining', 'the mount is being taken down');
      const lease = await this.#attachmentOf(image).acquire(image, options.signal);
      this.#lastErrors.forget(image.id);
      return lease;
    } catch (thrown) {
      const error = CinderfsError.from(thrown).within({ image: image.id, volume: image.volumeId });
      this.openRefused(image.id, error);
      throw error;
    }
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
    const { counters, hostCalls, journal, slots } = this.#context;
    const all = this.all();
    const inState = (...states: readonly string[]): number =>
      all.filter(({ state }) => states.includes(state)).length;
    const sum = (of: (attachment: Attachment) => number): number =>
      all.reduce((total, attachment) => total + of(attachment), 0);
    const gauges = {
      held: inState('attached', 'lingering'),
      leases: sum(({ leases }) => leases),
      lingering: inState('lingering'),
      attaching: inState('attaching'),
      detaching: inState('detaching'),
      fenced: inState('fenced'),
      waiting: sum(({ waiting }) => waiting),
      queued: slots.waiting,
      detach_retrying: all.filter(({ detachRetrying }) => detachRetrying).length,
      host_calls_hung: hostCalls.hung,
      clones: journal.list().filter(({ clone }) => clone !== undefined).length,
      journal_records: journal.list().length,
    };
    return { gauges, counters: { ...counters } };
  }

  /** Takes over what an earlier process recorded: each is adopted or undone in the background. */
  recover(records: readonly AttachmentRecord[]): void {
    for (const record of records) {
      const { imageId: id, imageName: name, imageSize: size, volumeId, multiattach } = record;
      this.#attachmentOf({ id, name, size, volumeId, multiattach, diskFormat: '' }).recover(record);
    }
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
   * Refuses new openers (`draining`) and detaches everything: at once what nobody reads, and at the deadline the rest,
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
    const made = new Attachment(image, this.#context, this.#end, () => {
      this.#attachments.delete(image.volumeId);
      if (this.#attachments.size > 0) return;
      for (const resolve of this.#quiet.splice(0)) resolve();
    });
    this.#attachments.set(image.volumeId, made);
    return made;
  }
}
