import { CinderfsError } from '../../../errors.js';
import type { MountSource, MountSources } from '../../../sources/mount-sources.js';
import type { Source } from '../../../sources/contract/source.js';
import type { SourceKinds } from '../../../sources/source-kinds.js';

/** A source that workers read themselves, shared by every open file of it. */
export interface Descriptor extends MountSource {
  /** The source in words, for the log. */
  readonly name: string;
  /** A number that no other source of this process ever has, for what is kept of its bytes; 0 where nothing is. */
  readonly number: number;
}

interface Entry {
  readonly opened: Promise<Descriptor | undefined>;
  holders: number;
}

/** Publishes each source once, closes it with its last holder. */
export class Descriptors {
  readonly kinds: SourceKinds;
  readonly #sources: MountSources;
  readonly #entries = new Map<string, Entry>();
  readonly #byDescriptor = new Map<Descriptor, Entry>();
  #numbers = 0;

  constructor(sources: MountSources) {
    this.#sources = sources;
    this.kinds = sources.kinds;
  }

  /**
   * What `source` leads to now; `connection` counts the connections it has led to. Undefined when workers cannot read
   * it. An image has `size` bytes.
   *
   * @throws CinderfsError `read_failed` when the source cannot be opened, or is shorter than the image.
   */
  async acquire(source: Source, size: number, connection = 0): Promise<Descriptor | undefined> {
    const key = `${connection}:${source.kind}:${this.kinds.of(source).identify(source)}`;
    // Joining an open that hangs keeps a dead source from taking one pool thread per caller.
    const entry = this.#entries.get(key) ?? { opened: this.#open(source), holders: 0 };
    this.#entries.set(key, entry);
    entry.holders += 1;
    let descriptor: Descriptor | undefined;
    try {
      descriptor = await entry.opened;
      if (descriptor !== undefined) this.#byDescriptor.set(descriptor, entry);
    } finally {
      if (descriptor === undefined && this.#entries.get(key) === entry) this.#entries.delete(key);
    }
    if (descriptor !== undefined) this.#checkLength(descriptor, size);
    return descriptor;
  }

  /** One more hold on a descriptor that is held. */
  hold(descriptor: Descriptor): void {
    const entry = this.#byDescriptor.get(descriptor);
    if (entry !== undefined) entry.holders += 1;
  }

  /** Gives one hold back. */
  release(descriptor: Descriptor): void {
    const entry = this.#byDescriptor.get(descriptor);
    if (entry === undefined) return;
    entry.holders -= 1;
    if (entry.holders > 0) return;
    this.#forget(entry);
    this.#byDescriptor.delete(descriptor);
    descriptor.published.close();
  }

  /**
   * Fenced: an open of this source from now on gets a fresh descriptor, for its path may name another volume. What
   * it was open on is let go of at once, for while it is open it cannot be detached; its slot stays taken until its
   * files are closed, for a worker may be about to read from it.
   */
  fence(descriptor: Descriptor): void {
    this.#forget(this.#byDescriptor.get(descriptor));
    descriptor.published.fence?.();
  }

  #checkLength(descriptor: Descriptor, size: number): void {
    const { published, name } = descriptor;
    if (published.size === undefined || published.size >= size) return;
    this.release(descriptor);
    throw new CinderfsError('read_failed', `${name} ends at byte ${published.size}, the image has ${size}`);
  }

  #forget(entry: Entry | undefined): void {
    for (const [key, known] of this.#entries) if (known === entry) this.#entries.delete(key);
  }

  async #open(source: Source): Promise<Descriptor | undefined> {
    const opened = await this.#sources.publish(source);
    if (opened === undefined) return undefined;
    const number = this.kinds.of(source).pageCached ? 0 : (this.#numbers += 1);
    return { ...opened, name: this.kinds.describe(source), number };
  }
}
