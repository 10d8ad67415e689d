import { CinderfsError } from '../../errors.js';
import { Attachment } from './attachment.js';
import type { AttachContext } from '../context.js';
import type { AttachableImage, AttachmentPool, AttachmentReport, Lease } from '../lease.js';
import type { AttachmentRecord } from '../journal/record.js';

/** The attachments of this host: one per volume, however many openers. */
export class Pool implements AttachmentPool {
  readonly #context: AttachContext;
  readonly #end: AbortSignal;
  readonly #attachments = new Map<string, Attachment>();
  readonly #lastErrors = new Map<string, string>();
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
    if (this.#draining)
      throw new CinderfsError('draining', 'the mount is being taken down', { image: image.id });
    try {
      const lease = await this.#attachmentOf(image).acquire(image, options.signal);
      this.#lastErrors.delete(image.id);
      return lease;
    } catch (thrown) {
      const error = CinderfsError.from(thrown).within({ image: image.id, volume: image.volumeId });
      this.#lastErrors.set(image.id, error.toLine());
      throw error;
    }
  }

  report(): readonly AttachmentReport[] {
    return [...this.#attachments.values()].map((attachment) => attachment.report());
  }

  lastError(imageId: string): string | undefined {
    return this.#lastErrors.get(imageId);
  }

  /** Takes over what an earlier process recorded: each is adopted or undone in the background. */
  recover(records: readonly AttachmentRecord[]): void {
    for (const record of records) {
      const { imageId: id, imageName: name, imageSize: size, volumeId, multiattach } = record;
      this.#attachmentOf({ id, name, size, volumeId, multiattach, diskFormat: '' }).recover(record);
    }
  }

  /** Detaches the image's volume as soon as nobody reads it: at once when it lingers. False when it is not attached. */
  releaseImage(imageId: string): boolean {
    const held = this.all().filter((attachment) => attachment.imageId === imageId);
    for (const attachment of held) attachment.letGo();
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
