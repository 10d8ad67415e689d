import { reasonOf } from '../../errors.js';
import type { Log } from '../../log.js';
import type { Images, ListedImage } from '../glance/images.js';
import type { VolumeLocation } from '../glance/location.js';

/** Lookups at a time: enough to hide their latency, too few to be felt by Glance. */
const CONCURRENCY = 8;

interface Known {
  readonly updatedMs: number;
  /** undefined: Glance does not tell us; that is not asked again until the image changes. */
  readonly locations: readonly VolumeLocation[] | undefined;
}

/** Looks up the locations of single images, each once per version of the image. */
export class LocationLookup {
  readonly #images: Pick<Images, 'locations'>;
  readonly #log: Log;
  #known = new Map<string, Known>();

  constructor(images: Pick<Images, 'locations'>, log: Log) {
    this.#images = images;
    this.#log = log;
  }

  /**
   * What is known of `images`, by id; forgets all others. A lookup that fails says nothing: what was known before stays,
   * and it is tried again next time.
   */
  async of(
    images: readonly ListedImage[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, readonly VolumeLocation[]>> {
    const known = new Map<string, Known>();
    const asked: ListedImage[] = [];
    for (const image of images) {
      const before = this.#known.get(image.id);
      if (before?.updatedMs === image.updatedAt.getTime()) known.set(image.id, before);
      else asked.push(image);
    }
    const worker = async (): Promise<void> => {
      for (let image = asked.pop(); image !== undefined; image = asked.pop()) {
        const found = (await this.#lookUp(image, signal)) ?? this.#known.get(image.id);
        if (found !== undefined) known.set(image.id, found);
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, worker));
    this.#known = known;
    return new Map(
      [...known].flatMap(([id, { locations }]) => (locations === undefined ? [] : [[id, locations]])),
    );
  }

  async #lookUp(image: ListedImage, signal: AbortSignal): Promise<Known | undefined> {
    try {
      const locations = await this.#images.locations(image.id, { signal });
      return { updatedMs: image.updatedAt.getTime(), locations };
    } catch (error) {
      signal.throwIfAborted();
      this.#log.debug(
        { image: image.id, reason: reasonOf(error) },
        'the locations of an image could not be read',
      );
      return undefined;
    }
  }
}
