import type {
  AttachableImage,
  AttachmentPool,
  AttachmentReport,
  Lease,
} from '../../src/attach/contract/lease.js';
import type { Source } from '../../src/sources/contract/source.js';
import { CinderfsError } from '../../src/errors.js';

interface FakeAttachment {
  readonly image: AttachableImage;
  readonly attachmentId: string;
  readonly source: Source;
  readonly fence: AbortController;
  leases: number;
  connections: number;
  reconnecting: Promise<void>;
  /** Another volume is behind it. */
  swapped: boolean;
}

/** Attachments without a cloud: `sources` says where each image's bytes are. Counts what is taken and given back. */
export class FakePool implements AttachmentPool {
  attaches = 0;
  acquires = 0;
  evictions = 0;
  proofs = 0;
  readonly #sources: (image: AttachableImage) => Source;
  readonly #attached = new Map<string, FakeAttachment>();
  readonly #errors = new Map<string, string>();
  #gate: Promise<void> = Promise.resolve();

  constructor(sources: (image: AttachableImage) => Source) {
    this.#sources = sources;
  }

  async acquire(
    image: AttachableImage,
    { signal }: { readonly signal?: AbortSignal | undefined },
  ): Promise<Lease> {
    this.acquires += 1;
    await this.#waitForGate(signal);
    const attachment = this.#attached.get(image.volumeId) ?? this.#attach(image);
    attachment.leases += 1;
    let held = true;
    return {
      volumeId: image.volumeId,
      attachmentId: attachment.attachmentId,
      source: attachment.source,
      fenced: attachment.fence.signal,
      connection: () => attachment.connections,
      renewed: async (connection) => {
        await attachment.reconnecting;
        return attachment.connections !== connection;
      },
      prove: () => this.#prove(attachment),
      release: ({ evict = false } = {}) => {
        if (!held) return;
        held = false;
        attachment.leases -= 1;
        if (evict) this.evictions += 1;
        if (evict && this.#attached.get(image.volumeId) === attachment) this.#attached.delete(image.volumeId);
      },
    };
  }

  report(): readonly AttachmentReport[] {
    return [...this.#attached.values()].map(({ image, attachmentId, leases }) => ({
      volumeId: image.volumeId,
      imageId: image.id,
      imageName: image.name,
      attachmentId,
      cloneId: undefined,
      state: 'attached',
      leases,
      lingerLeftMs: undefined,
      ageMs: 0,
      source: undefined,
      lastError: this.lastError(image.id),
    }));
  }

  safety(): undefined {
    return undefined;
  }

  lastError(imageId: string): string | undefined {
    return this.#errors.get(imageId);
  }

  /** All leases that are held. Zero at the end of every test. */
  get leases(): number {
    return [...this.#attached.values()].reduce((sum, { leases }) => sum + leases, 0);
  }

  noteError(imageId: string, error: CinderfsError): void {
    this.#errors.set(imageId, error.message);
  }

  /** Holds every acquire back until the returned function is called. */
  holdBack(): () => void {
    let open = (): void => undefined;
    this.#gate = new Promise((resolve) => (open = resolve));
    return () => open();
  }

  /** Fences the attachment of that volume. */
  fence(volumeId: string, reason = new CinderfsError('image_changed', 'the image was replaced')): void {
    this.#attached.get(volumeId)?.fence.abort(reason);
    this.#attached.delete(volumeId);
  }

  /** Another volume takes the place of that one: who proves it is fenced. */
  swap(volumeId: string): void {
    const attachment = this.#attached.get(volumeId);
    if (attachment !== undefined) attachment.swapped = true;
  }

  /** The connection of that volume is lost; the returned function makes it again. */
  loseConnection(volumeId: string): () => void {
    const attachment = this.#attached.get(volumeId);
    let done = (): void => undefined;
    if (attachment !== undefined) attachment.reconnecting = new Promise((resolve) => (done = resolve));
    return () => {
      if (attachment !== undefined) attachment.connections += 1;
      done();
    };
  }

  #attach(image: AttachableImage): FakeAttachment {
    this.attaches += 1;
    const attachment = {
      image,
      attachmentId: `attachment-${this.attaches}`,
      source: this.#sources(image),
      fence: new AbortController(),
      leases: 0,
      connections: 1,
      reconnecting: Promise.resolve(),
      swapped: false,
    };
    this.#attached.set(image.volumeId, attachment);
    return attachment;
  }

  async #prove({ image, swapped }: FakeAttachment): Promise<void> {
    this.proofs += 1;
    if (!swapped) return Promise.resolve();
    const reason = new CinderfsError('identity_mismatch', 'it is another volume');
    this.fence(image.volumeId, reason);
    throw reason;
  }

  async #waitForGate(signal: AbortSignal | undefined): Promise<void> {
    const gone = new Promise<never>((_, reject) =>
      signal?.addEventListener('abort', () => reject(new CinderfsError('interrupted', 'the opener left')), {
        once: true,
      }),
    );
    await Promise.race([this.#gate, gone]);
  }
}
