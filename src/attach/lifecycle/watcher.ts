import { CinderfsError } from '../../errors.js';
import type { CatalogSnapshot } from '../../cinder/types.js';
import type { AttachContext } from '../context.js';
import { checkHeld } from './held.js';
import type { Pool } from './pool.js';

const CHECK_MS = 10_000;

/**
 * Watches what we hold. Cinder guards attachments of VMs only: anybody in the project of the volumes can delete ours
 * while we read, and the LUN behind it may then be given to somebody else. So whatever Cinder does not confirm any more
 * is fenced; silence of Cinder proves nothing.
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
    for (const attachment of this.#pool.all()) {
      const { held } = attachment;
      if (held === undefined) continue;
      try {
        await checkHeld(held, this.#context, CHECK_MS);
      } catch (error) {
        if (attachment.held === held) attachment.fence(CinderfsError.from(error, 'attachment_lost'));
      }
    }
  }

  /** An image that was deleted, deactivated or moved to another volume is not read any more. */
  review({ images }: CatalogSnapshot): void {
    this.#pool.keepErrorsOf(images);
    for (const attachment of this.#pool.all()) {
      const { imageId: image, volumeId: volume } = attachment;
      if (images.get(image)?.volumeId === volume) continue;
      attachment.fence(
        new CinderfsError('image_changed', `image ${image} is gone or not active any more`, {
          image,
          volume,
        }),
      );
    }
  }
}
