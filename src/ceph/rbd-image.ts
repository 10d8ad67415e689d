import { CinderfsError } from '../errors.js';
import type { RbdAddress } from './address.js';
import type { Cluster } from './clusters.js';
import { ExtentMap } from './extent-map.js';
import type { CephLibrary, ImageHandle } from './library.js';

/**
 * An image that is open in this process. Its handle is closed only when no thread is inside a call with it: calls of this
 * object are counted here; threads that read by `pointer` are counted by the code that gave it to them, which holds a claim
 * (rbd-images.ts) until they are out.
 */
export class RbdImage {
  readonly #library: CephLibrary;
  readonly #cluster: Cluster;
  readonly #name: string;
  readonly #handle: ImageHandle;
  readonly #extents: ExtentMap;
  #inside = 0;
  #idle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  private constructor(library: CephLibrary, cluster: Cluster, name: string, handle: ImageHandle) {
    this.#library = library;
    this.#cluster = cluster;
    this.#name = name;
    this.#handle = handle;
    this.#extents = new ExtentMap(handle.size, (offset, length) =>
      this.#within(() => library.extents(handle.image, offset, length)),
    );
  }

  /** Takes the share in the cluster over, also when it fails. */
  static async open(library: CephLibrary, cluster: Cluster, address: RbdAddress): Promise<RbdImage> {
    try {
      const handle = await cluster.slots.run(() => library.open(cluster.handle, address));
      return new RbdImage(library, cluster, address.image, handle);
    } catch (error) {
      await cluster.release();
      throw error;
    }
  }

  /** The address of its handle, for threads that read by themselves. */
  get pointer(): number {
    return this.#handle.image;
  }

  get size(): number {
    return this.#handle.size;
  }

  get id(): string {
    return this.#handle.id;
  }

  /** The id of the image that has its name now, asked of the cluster; undefined when there is none. */
  currentId(): Promise<string | undefined> {
    return this.#within(() => this.#library.idOf(this.#handle, this.#name));
  }

  /** Fills `bytes` from `offset` on. */
  read(offset: number, bytes: Buffer): Promise<void> {
    return this.#within(() => this.#library.read(this.#handle.image, offset, bytes));
  }

  /** Next data or hole at or after `offset`; the size of the image when there is none. */
  seek(offset: number, whence: 'data' | 'hole'): Promise<number> {
    return this.#extents.next(offset, whence);
  }

  /** Waits for the calls under way, of which the cluster's deadlines make an end. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#inside > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await this.#library.close(this.#handle);
    await this.#cluster.release();
  }

  async #within<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw new CinderfsError('read_failed', 'the RBD image was closed');
    this.#inside += 1;
    try {
      return await this.#cluster.slots.run(call);
    } finally {
      this.#inside -= 1;
      if (this.#inside === 0) this.#idle?.();
    }
  }
}
