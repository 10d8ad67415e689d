/** The images of the cloud that can be served, as the file system and the commands see them. */
import type { CinderfsError } from '../../errors.js';

/** What Glance says of an image, whether it can be served or not. */
export interface ImageFacts {
  readonly id: string;
  /** May be empty, repeated, or hold any character. */
  readonly name: string;
  readonly diskFormat: string;
  readonly containerFormat: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly hashAlgorithm: string | undefined;
  readonly hashValue: string | undefined;
  /** Glance knows a key of it (`cinder_encryption_key_id`): it was made of an encrypted volume. */
  readonly encrypted?: boolean | undefined;
}

/** An image that can be served: active, not empty, and its volume is known. */
export interface CatalogImage extends ImageFacts {
  /** Bytes of the image, never of the volume. Always > 0. */
  readonly size: number;
  readonly volumeId: string;
  /** All volumes that Glance names as the image's; undefined where it names none and Cinder's metadata placed it. */
  readonly locations?: readonly string[] | undefined;
  /** Glance store the location names; undefined for `cinder://<volume>`. */
  readonly storeId: string | undefined;
  /** Whether other hosts may attach the volume while we do; unknown counts as false. */
  readonly multiattach: boolean;
  /** GiB of the volume, where the volume listing showed it. */
  readonly volumeGib: number | undefined;
  /** Superseded by its owner, and meant to stay usable: it keeps its id and has no name. */
  readonly hidden?: boolean | undefined;
}

/** One consistent view of all images. A new one replaces it whole. */
export interface CatalogSnapshot {
  /** Grows by one with every refresh that succeeded; 0 before the first. */
  readonly generation: number;
  /** Clock.wall() of the refresh. */
  readonly at: number;
  readonly images: ReadonlyMap<string, CatalogImage>;
}

/** An image that a lookup asks for: by its id, or by one of the names that a file name may stand for. */
export type WantedImage = { readonly id: string } | { readonly names: readonly string[] };

export interface CatalogHealth {
  /** Why the last refresh failed; undefined if it did not. */
  readonly lastError: CinderfsError | undefined;
  /** Clock.wall() of the first refresh that failed since one succeeded. */
  readonly failingSince: number | undefined;
  /** Entries of the last listings that could not be understood. */
  readonly skipped: number;
  /** Images that are not served although Glance names a volume of theirs. */
  readonly refused: number;
}

/** The catalog as the file system and the commands see it. */
export interface Catalog {
  /** The newest snapshot: immediate, never a network call. */
  readonly snapshot: CatalogSnapshot;
  /** A snapshot fresher than the call, at most one refresh per `minRefreshInterval`; the old one if that was just now. */
  refresh(options?: { readonly signal?: AbortSignal }): Promise<CatalogSnapshot>;
  /**
   * Asks for one image that the snapshot does not have, and takes it up when there is one. A few small calls, however
   * many images there are, and so rarely that the load of lookups stays small: what was asked a moment ago, and what is one
   * question too many, is not asked. Throws what the call failed of.
   */
  find(wanted: WantedImage, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /** What became of the last refreshes. */
  readonly health: CatalogHealth;
  /** Calls `listener` after every change; the returned function stops it. */
  onChange(listener: (snapshot: CatalogSnapshot, previous: CatalogSnapshot) => void): () => void;
}
