import type { Log } from '../../log.js';
import type { Refusal } from './catalog-join.js';

/** A mistake of the whole cloud must not fill the log. */
const LINES = 20;

const REASONS: Readonly<Record<Refusal['why'], string>> = {
  not_ours: 'its location names a volume that is not in the listing of our own project',
  no_claim: 'its location names a volume whose metadata does not name it (glance_image_id)',
  other_image: 'its location names a volume whose metadata names another image',
};

/** The images that are not served although Glance names a volume of theirs: each is told of once. */
export class Refusals {
  readonly #log: Log;
  #all: readonly Refusal[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  get all(): readonly Refusal[] {
    return this.#all;
  }

  get size(): number {
    return this.#all.length;
  }

  /** Those of the newest listing. */
  replace(refusals: readonly Refusal[]): void {
    const known = new Set(this.#all.map(({ imageId }) => imageId));
    const fresh = refusals.filter(({ imageId }) => !known.has(imageId));
    this.#all = refusals;
    for (const { imageId: image, volumeId: volume, why } of fresh.slice(0, LINES))
      this.#log.warn({ image, volume }, `an image is not served: ${REASONS[why]}`);
    if (fresh.length > LINES)
      this.#log.warn({ images: fresh.length - LINES }, 'more images are not served for such reasons');
  }
}
