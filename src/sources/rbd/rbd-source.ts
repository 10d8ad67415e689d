import { rbdName } from '../../ceph/address.js';
import type { RbdImages } from '../../ceph/rbd-images.js';
import type { PublishedSource, SourceKind, SourcePublisher } from '../contract/source.js';
import { type AttachedImage, openRbdReader } from './rbd-reader.js';
import { SharedImages } from './shared-images.js';

/** An RBD image, read by librbd in this process: open there (ceph/rbd-images.ts) for as long as it is attached. */
export interface RbdSource extends AttachedImage {
  readonly kind: 'rbd';
}

declare module '../contract/source.js' {
  interface SourceTypes {
    readonly rbd: RbdSource;
  }
}

/** Of the images that are open in this process; undefined where none are read. */
export function rbdSource(images: RbdImages | undefined): SourceKind<RbdSource> {
  return {
    key: 'rbd',
    pageCached: false,
    publishOpens: true,
    workerModule: new URL('./rbd-on-worker.js', import.meta.url),
    describe: ({ address }) => `rbd:${rbdName(address)}`,
    identify: ({ address, id }) => `${id}:${JSON.stringify(address)}`,
    openReader: (source, image, { cache, readAheadBytes }) =>
      openRbdReader(source, images, { ...image, cache, readAheadBytes }),
    publisher: (workers) => new RbdPublisher(images, workers),
  };
}

class RbdPublisher implements SourcePublisher<RbdSource> {
  readonly #images: RbdImages | undefined;
  readonly #shared: SharedImages;

  constructor(images: RbdImages | undefined, workers: number) {
    this.#images = images;
    this.#shared = new SharedImages(workers);
  }

  get memory(): SharedArrayBuffer {
    return this.#shared.memory;
  }

  /** The claim is ours until no worker is inside a read of the image. */
  async publish({ address, id }: RbdSource): Promise<PublishedSource | undefined> {
    const claim = await this.#images?.share(address, id);
    const slot = claim === undefined ? undefined : this.#shared.publish(claim.image.pointer);
    if (claim === undefined || slot === undefined) {
      claim?.release();
      return undefined;
    }
    return {
      slot,
      size: claim.image.size,
      close: () => this.#shared.withdraw(slot, () => claim.release()),
    };
  }

  vacate(worker: number): void {
    this.#shared.vacate(worker);
  }

  /** A worker left an image that was withdrawn. */
  heard(place: number): void {
    this.#shared.settle(place);
  }
}
