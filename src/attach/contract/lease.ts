import type { CatalogImage } from '../../cinder/contract/catalog.js';
import type { Source } from '../../sources/contract/source.js';

/** What the pool has to know of an image to attach its volume. */
export type AttachableImage = Pick<
  CatalogImage,
  'id' | 'name' | 'size' | 'volumeId' | 'multiattach' | 'diskFormat'
> &
  Partial<Pick<CatalogImage, 'containerFormat' | 'hashAlgorithm' | 'hashValue' | 'encrypted' | 'updatedAt'>>;

/** One opener's claim on an attachment. The volume stays attached while any lease is held. */
export interface Lease {
  readonly volumeId: string;
  readonly attachmentId: string;
  readonly source: Source;
  /** Aborts when the attachment is fenced: stop reading, drop what was cached; `reason` is a CinderfsError. */
  readonly fenced: AbortSignal;
  /** Counts the connections that `source` has led to: a descriptor from an earlier one is of a device that went away. */
  readonly connection: () => number;
  /**
   * For a reader whose read through `connection` failed: waits while that is made again. True when there is another one
   * to read through, false when it was not lost.
   */
  readonly renewed: (connection: number) => Promise<boolean>;
  /**
   * For a reader that cannot tell by itself whether what it just read is the volume's (SourceKind.needsProof): resolves when
   * that was proven from now on; otherwise rejects, and fences where it is another volume.
   */
  readonly prove: () => Promise<void>;
  /** Gives the claim back. Idempotent. `evict` says the attachment is bad: it is detached without lingering. */
  release(options?: { readonly evict?: boolean }): void;
}

/** One attachment as `cinderfs status` shows it. */
export interface AttachmentReport {
  readonly volumeId: string;
  readonly imageId: string;
  readonly imageName: string;
  readonly attachmentId: string | undefined;
  /** The volume that the image's own is read through. */
  readonly cloneId: string | undefined;
  readonly state: string;
  readonly leases: number;
  /** Milliseconds until a lingering attachment is detached. */
  readonly lingerLeftMs: number | undefined;
  readonly ageMs: number;
  readonly source: string | undefined;
  readonly lastError: string | undefined;
}

/** The caller that asks for a lease. */
export interface AcquireOptions {
  /** Aborts when the opener left. */
  readonly signal?: AbortSignal | undefined;
  /** The user that opens; undefined for a file that an earlier process had open. */
  readonly uid?: number | undefined;
}

/** The attachments of this host, as the file system sees them. */
export interface AttachmentPool {
  /** Attaches the image's volume, or shares the attachment there is. A caller that leaves early loses nothing: a late attachment stays in the pool. */
  acquire(image: AttachableImage, options: AcquireOptions): Promise<Lease>;
  report(): readonly AttachmentReport[];
  /** The last failure to open or read that image, in one line; undefined when the last open of it succeeded. */
  lastError(imageId: string): string | undefined;
  /** What the look at the head of that image found: `safe: FORMAT` or `unsafe: WHY`; undefined before it is first opened. */
  safety(imageId: string): string | undefined;
}
