/** What Glance says of one image, in the product's own words. */
import type { CallOptions } from './calls.js';

/** Glance, as far as one image is asked for. */
export interface ImageLookup {
  /** What Glance says of it now; undefined where there is none that we may see. */
  show(imageId: string, options?: CallOptions): Promise<ImageState | undefined>;
}

/** What changes of an image while it is being made, and what its bytes are compared with. */
export interface ImageState {
  readonly status: string;
  readonly updatedAt: Date;
  readonly hashAlgorithm: string | undefined;
  /** Undefined though there is an algorithm: Glance computes it, or failed to. */
  readonly hashValue: string | undefined;
}
