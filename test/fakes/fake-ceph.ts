import type { RbdAddress } from '../../src/ceph/address.js';
import type { CephLibrary, Extent, ImageHandle } from '../../src/ceph/library.js';
import { CinderfsError } from '../../src/errors.js';

export interface FakeImage {
  readonly id: string;
  readonly bytes: Buffer;
  /** What is allocated; all, when it is not said. */
  readonly extents?: readonly Extent[];
}

/** A cluster in memory. It knows what librbd would crash of: a handle that is closed while somebody is inside a call. */
export class FakeCeph implements CephLibrary {
  /** By name, in whatever pool. */
  readonly images = new Map<string, FakeImage>();
  readonly clusters = new Set<number>();
  readonly handles = new Map<number, FakeImage>();
  connects = 0;
  opens = 0;
  /** Handles that were used after, or closed during, a call. */
  readonly crashes: string[] = [];
  /** What the next connections fail with. */
  refusal: CinderfsError | undefined;
  settings: Readonly<Record<string, string>> = {};
  #gate: Promise<void> = Promise.resolve();
  #next = 1;
  readonly #inside = new Map<number, number>();

  /** Reads wait until the returned function is called. */
  hang(): () => void {
    let open: () => void = () => undefined;
    this.#gate = new Promise((resolve) => (open = resolve));
    return open;
  }

  async connect(_: unknown, settings: Readonly<Record<string, string>>): Promise<number> {
    this.connects += 1;
    this.settings = settings;
    await Promise.resolve();
    if (this.refusal !== undefined) throw this.refusal;
    const cluster = this.#next++;
    this.clusters.add(cluster);
    return cluster;
  }

  disconnect(cluster: number): Promise<void> {
    if (this.handles.size > 0) this.crashes.push('the cluster was left with images open');
    this.clusters.delete(cluster);
    return Promise.resolve();
  }

  async open(cluster: number, { image: name }: RbdAddress): Promise<ImageHandle> {
    this.opens += 1;
    await Promise.resolve();
    if (!this.clusters.has(cluster)) this.crashes.push('an image was opened on a cluster that was left');
    const found = this.images.get(name);
    if (found === undefined) throw new CinderfsError('connector_failed', `the RBD image ${name}: ENOENT`);
    const image = this.#next++;
    this.handles.set(image, found);
    return { image, pool: image, size: found.bytes.length, id: found.id };
  }

  close({ image }: ImageHandle): Promise<void> {
    if ((this.#inside.get(image) ?? 0) > 0) this.crashes.push('an image was closed under a reader');
    if (!this.handles.delete(image)) this.crashes.push('an image was closed twice');
    return Promise.resolve();
  }

  idOf(handle: ImageHandle, name: string): Promise<string | undefined> {
    return this.#call(handle.image, () => this.images.get(name)?.id);
  }

  read(image: number, offset: number, bytes: Buffer): Promise<void> {
    return this.#call(image, (found) => {
      if (found.bytes.copy(bytes, 0, offset) < bytes.length)
        throw new CinderfsError('read_failed', 'the RBD image ends');
    });
  }

  readSync(): void {
    throw new Error('no thread of these tests blocks');
  }

  extents(image: number, offset: number, length: number): Promise<readonly Extent[]> {
    return this.#call(image, ({ extents, bytes }) =>
      (extents ?? [{ offset: 0, length: bytes.length }]).filter(
        (extent) => extent.offset < offset + length && extent.offset + extent.length > offset,
      ),
    );
  }

  async #call<T>(image: number, work: (found: FakeImage) => T): Promise<T> {
    this.#inside.set(image, (this.#inside.get(image) ?? 0) + 1);
    try {
      await this.#gate;
      const found = this.handles.get(image);
      if (found !== undefined) return work(found);
      this.crashes.push('a closed image was used');
      throw new Error('crash');
    } finally {
      this.#inside.set(image, (this.#inside.get(image) ?? 0) - 1);
    }
  }
}
