import { CinderfsError } from '../../errors.js';
import type { CatalogImage, CatalogSnapshot } from '../../cinder/contract/catalog.js';
import type { AttachContext } from '../context/context.js';
import type { Attachment } from './attachment.js';
import type { LiveAttachment } from './live-attachment.js';
import type { Pool } from './pool.js';
import { checkHeld, checkVolume } from './standing.js';

const CHECK_MS = 10_000;

/**
 * Watches what we hold, and fences on facts only.
 *
 * Cinder guards attachments of VMs only: any user in the project of the volumes can delete ours while we read, and the
 * LUN behind it may then be given to another host. So it is asked about each attachment, again and again. What it or
 * Glance says positively fences: the attachment is gone, the volume is gone or holds another image, the image is in
 * another volume.
 *
 * That an image is not listed is no such fact. It may be deactivated, hidden, private or deleted, its volume in an error
 * state, a lookup may have failed, the answer may be short. None of that changes a byte, and Cinder does not delete a
 * volume that is attached: running machines read on. The image loses its name, and is not kept for a next opener.
 */
export class Watcher {
  readonly #pool: Pool;
  readonly #context: AttachContext;
  readonly #everyMs: number;
  #stop: () => void = () => undefined;
  #stopped = false;

  constructor(pool: Pool, context: AttachContext, everyMs: number) {
    this.#pool = pool;
    this.#context = context;
    this.#everyMs = everyMs;
  }

  start(): void {
    this.#stop = this.#context.clock.after(this.#everyMs, () => {
      void this.look().finally(() => {
        if (!this.#stopped) this.start();
      });
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#stop();
  }

  /** Asks Cinder about every attachment that is held, one after the other: this is background work. */
  async look(): Promise<void> {
    for (const attachment of this.#pool.all()) await this.#check(attachment);
  }

  /** What the newest listing means for what we hold. */
  review({ images }: CatalogSnapshot): void {
    for (const attachment of this.#pool.all()) {
      const { imageId: image, volumeId: volume } = attachment;
      const listed = images.get(image);
      if (listed?.volumeId === volume) attachment.list();
      else if (listed?.locations?.includes(volume) === false) attachment.fence(moved(image, volume, listed));
      else this.#unlist(attachment);
    }
    this.#pool.keepErrorsOf(images);
  }

  #unlist(attachment: Attachment): void {
    if (!attachment.unlist()) return;
    const { imageId: image, volumeId: volume, leases } = attachment;
    this.#context.log.info(
      { image, volume, leases },
      'an image is not listed any more: no new opens; its open files are served while the volume is attached',
    );
    void this.#check(attachment);
  }

  async #check(attachment: Attachment): Promise<void> {
    const { held } = attachment;
    if (held === undefined) return;
    try {
      await checkHeld(held, this.#context, CHECK_MS);
      if (!attachment.listed) await checkVolume(held, this.#context, CHECK_MS);
    } catch (error) {
      this.#fence(attachment, held, CinderfsError.from(error, 'attachment_lost'));
    }
  }

  #fence(attachment: Attachment, held: LiveAttachment, reason: CinderfsError): void {
    if (attachment.held === held) attachment.fence(reason);
  }
}

function moved(image: string, volume: string, { volumeId }: CatalogImage): CinderfsError {
  return new CinderfsError('image_changed', `Glance says that image ${image} is in volume ${volumeId}`, {
    image,
    volume,
  });
}
