import { CinderfsError } from '../errors.js';
import type { RbdAddress } from './address.js';
import { Clusters } from './clusters.js';
import type { CephLibrary } from './library.js';
import { RbdImage } from './rbd-image.js';

/** A share in an image that is open; the last one closes it. */
export interface ImageClaim {
  readonly image: RbdImage;
  /** Idempotent. Never fails, and waits for nothing. */
  readonly release: () => void;
}

export interface RbdImagesOptions {
  /** Asked when the first image is wanted: loading it takes memory. Undefined where it is not installed. */
  readonly library: () => CephLibrary | undefined;
  /** Milliseconds after which a cluster that does not answer has failed a call. */
  readonly timeoutMs: number;
  /** Calls of one cluster on pool threads at a time. */
  readonly slots: number;
}

interface Entry {
  readonly image: RbdImage;
  claims: number;
}

/**
 * The RBD images that are open in this process, each once: the attachment, the readers of the main thread and the
 * descriptors of the workers share one handle.
 */
export class RbdImages {
  readonly #options: RbdImagesOptions;
  #clusters: Clusters | undefined;
  /** Those that may be joined, by address and id. */
  readonly #entries = new Map<string, Entry>();
  readonly #closing = new Set<Promise<void>>();

  constructor(options: RbdImagesOptions) {
    this.#options = options;
  }

  /** Whether koffi, librados and librbd are installed. */
  get available(): boolean {
    return this.#options.library() !== undefined;
  }

  /** Opens the image that has the name now. `connector_missing`, or `connector_failed` when it cannot be reached. */
  async open(address: RbdAddress): Promise<ImageClaim> {
    const library = this.#options.library();
    if (library === undefined)
      throw new CinderfsError('connector_missing', 'librados, librbd or the npm package koffi is missing', {
        remedy: 'Install librados2 and librbd1 (Debian) and the optional npm packages.',
      });
    this.#clusters ??= new Clusters(library, this.#options);
    const image = await RbdImage.open(library, await this.#clusters.join(address), address);
    const entry = { image, claims: 0 };
    this.#entries.set(keyOf(address, image.id), entry);
    return this.#claim(address, entry);
  }

  /** The same image as was opened before, and no other that has its name by now (`read_failed`). */
  async share(address: RbdAddress, id: string): Promise<ImageClaim> {
    const known = this.#entries.get(keyOf(address, id));
    if (known !== undefined) return this.#claim(address, known);
    const claim = await this.open(address);
    if (claim.image.id === id) return claim;
    claim.release();
    throw new CinderfsError('read_failed', `${address.image} is another RBD image now`);
  }

  /** Resolves when every image that is let go is closed. */
  async quiet(): Promise<void> {
    while (this.#closing.size > 0) await Promise.all(this.#closing);
  }

  #claim(address: RbdAddress, entry: Entry): ImageClaim {
    entry.claims += 1;
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      entry.claims -= 1;
      if (entry.claims === 0) this.#close(keyOf(address, entry.image.id), entry);
    };
    return { image: entry.image, release };
  }

  /** A failed close is harmless: the image was only read. */
  #close(key: string, entry: Entry): void {
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
    const closing = entry.image
      .close()
      .catch(() => undefined)
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}

function keyOf(
  { cluster, user, conf, keyring, monitors, pool, namespace, image }: RbdAddress,
  id: string,
): string {
  return JSON.stringify([cluster, user, conf, keyring, monitors, pool, namespace, image, id]);
}
