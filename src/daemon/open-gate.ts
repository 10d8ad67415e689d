import type {
  AcquireOptions,
  AttachableImage,
  AttachmentPool,
  AttachmentReport,
  Lease,
} from '../attach/contract/lease.js';
import type { PoolService } from '../attach/service.js';
import { CinderfsError } from '../errors.js';

type GatedPool = AttachmentPool & Pick<PoolService, 'openRefused'>;

/** The pool, with a gate before it: closed while the mount is taken down, open again when that was refused. */
export class OpenGate implements AttachmentPool {
  readonly #pool: GatedPool;
  #closed = false;
  #onClose: () => void = () => undefined;
  /** Settles when openers may go on. */
  #held: Promise<void> | undefined;
  #letGo: () => void = () => undefined;

  constructor(pool: GatedPool) {
    this.#pool = pool;
  }

  get closed(): boolean {
    return this.#closed;
  }

  set closed(closed: boolean) {
    this.#closed = closed;
    if (closed) this.#onClose();
  }

  /** Calls `listener` whenever the gate is closed. */
  onClose(listener: () => void): void {
    this.#onClose = listener;
  }

  /** Lets openers wait, until letGo(): their volumes must not begin to be attached now. */
  hold(): void {
    this.#held ??= new Promise((resolve) => (this.#letGo = resolve));
  }

  letGo(): void {
    this.#held = undefined;
    this.#letGo();
  }

  async acquire(image: AttachableImage, options: AcquireOptions): Promise<Lease> {
    if (this.#held !== undefined) await this.#held;
    if (this.#closed) {
      const refusal = new CinderfsError('draining', 'the mount is being taken down', { image: image.id });
      this.#pool.openRefused(image.id, refusal);
      throw refusal;
    }
    return this.#pool.acquire(image, options);
  }

  report(): readonly AttachmentReport[] {
    return this.#pool.report();
  }

  lastError(imageId: string): string | undefined {
    return this.#pool.lastError(imageId);
  }

  safety(imageId: string): string | undefined {
    return this.#pool.safety(imageId);
  }
}
