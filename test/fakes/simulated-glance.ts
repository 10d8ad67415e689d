import type { ListedImage } from '../../src/cinder/glance/images.js';
import type { VolumeLocation } from '../../src/cinder/glance/location.js';
import { CinderfsError } from '../../src/errors.js';
import type { AttachableImage } from '../../src/attach/contract/lease.js';

/** What may happen to an image's place in Glance's answers without a byte of it changing. */
export type ListingFate = 'vanishes' | 'deactivated' | 'incomplete' | 'lookup_fails' | 'returns';

/** Glance as the catalog asks it. Images say where they are only when they are asked one by one. */
export class SimulatedGlance {
  readonly #images: readonly AttachableImage[];
  readonly #absent = new Set<string>();
  readonly #deactivated = new Set<string>();
  #updates = 0;
  #incomplete = false;
  #lookupFails = false;

  constructor(images: readonly AttachableImage[]) {
    this.#images = images;
  }

  meet(imageId: string, fate: ListingFate): void {
    this.#updates++;
    this.#incomplete = fate === 'incomplete';
    this.#lookupFails = fate === 'lookup_fails';
    if (fate === 'vanishes') this.#absent.add(imageId);
    if (fate === 'deactivated') this.#deactivated.add(imageId);
    if (fate !== 'returns') return;
    this.#absent.delete(imageId);
    this.#deactivated.delete(imageId);
  }

  list(): Promise<readonly ListedImage[]> {
    const listed = this.#images.filter(({ id }) => !this.#absent.has(id)).map((image) => this.#view(image));
    return Promise.resolve(this.#incomplete ? listed.slice(0, 1) : listed);
  }

  show(imageId: string): Promise<ListedImage | undefined> {
    const image = this.#images.find(({ id }) => id === imageId);
    return Promise.resolve(image === undefined ? undefined : this.#view(image));
  }

  named(name: string): Promise<readonly ListedImage[]> {
    return Promise.resolve(this.#images.filter((image) => image.name === name).map((one) => this.#view(one)));
  }

  locations(imageId: string): Promise<readonly VolumeLocation[] | undefined> {
    if (this.#lookupFails) return Promise.reject(new CinderfsError('http_failed', 'Glance answered 503'));
    const image = this.#images.find(({ id }) => id === imageId);
    return Promise.resolve(image && [{ volumeId: image.volumeId, storeId: undefined }]);
  }

  #view({ id, name, size, diskFormat }: AttachableImage): ListedImage {
    const at = new Date(1_800_000_000_000 + this.#updates);
    return {
      id,
      name,
      status: this.#deactivated.has(id) ? 'deactivated' : 'active',
      size,
      diskFormat,
      containerFormat: 'bare',
      createdAt: at,
      updatedAt: at,
      hashAlgorithm: undefined,
      hashValue: undefined,
      visibility: 'public',
      owner: undefined,
      hidden: false,
      locations: undefined,
    };
  }
}
