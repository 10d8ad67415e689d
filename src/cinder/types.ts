/** What OpenStack says, in the product's own words. Wire shapes stay inside the client files. */

import type { CinderfsError } from '../errors.js';

/** An image that can be served: active, not empty, and its volume is known. */
export interface CatalogImage {
  readonly id: string;
  /** As Glance has it: may be empty, repeated, or hold any character. */
  readonly name: string;
  /** Bytes of the image, never of the volume. Always > 0. */
  readonly size: number;
  readonly diskFormat: string;
  readonly containerFormat: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly hashAlgorithm: string | undefined;
  readonly hashValue: string | undefined;
  /** Glance knows a key of it (`cinder_encryption_key_id`): it was made of an encrypted volume. */
  readonly encrypted?: boolean | undefined;
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

/** An image that somebody asks for: by its id, or by one of the names that a file name may stand for. */
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
   * many images there are, and so rarely that nobody's questions are felt: what was asked a moment ago, and what is one
   * question too many, is not asked. Throws what the call failed of.
   */
  find(wanted: WantedImage, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /** What became of the last refreshes. */
  readonly health: CatalogHealth;
  /** Calls `listener` after every change; the returned function stops it. */
  onChange(listener: (snapshot: CatalogSnapshot, previous: CatalogSnapshot) => void): () => void;
}

export type VolumeStatus = string;

export interface Volume {
  readonly id: string;
  readonly name: string;
  readonly status: VolumeStatus;
  readonly sizeGib: number;
  readonly multiattach: boolean;
  readonly encrypted: boolean;
  readonly projectId: string | undefined;
  readonly volumeType: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  /** false: no lock; true: lock if the host lacks manual scan; null: always lock (microversion 3.69). */
  readonly sharedTargets: boolean | null | undefined;
  readonly serviceUuid: string | undefined;
  readonly attachments: readonly VolumeAttachment[];
}

/** An entry of volume.attachments: completed attachments only. */
export interface VolumeAttachment {
  readonly attachmentId: string;
  readonly serverId: string | undefined;
  /** Seen only with the service role on newer Cinder. */
  readonly hostName: string | undefined;
  /** The connector's mountpoint. */
  readonly device: string | undefined;
}

/** reserved, attaching, attached, detaching, ...: Cinder may add more. */
export type AttachmentStatus = string;

/** What Cinder tells a host about reaching a volume. Flat; holds secrets: never logged, never stored whole. */
export interface ConnectionInfo {
  readonly driver_volume_type: string;
  readonly [key: string]: unknown;
}

export interface Attachment {
  readonly id: string;
  readonly volumeId: string;
  readonly status: AttachmentStatus;
  readonly attachMode: 'ro' | 'rw' | undefined;
  readonly instanceId: string | undefined;
  readonly connectionInfo: ConnectionInfo | undefined;
}

/** What the host tells Cinder about itself (os-brick's connector properties). */
export interface ConnectorProperties {
  readonly host: string;
  readonly ip: string;
  readonly platform: string;
  readonly os_type: string;
  readonly multipath: boolean;
  readonly initiator?: string;
  readonly mountpoint?: string;
  readonly mode?: 'ro';
  readonly [key: string]: unknown;
}

/** Cinder's attachments API, the calls the lifecycle needs. Every call has a deadline and retries what is safe. */
export interface Attachments {
  /** Reserves the volume, read-only. 400 on a wrong volume state surfaces as `conflict`. Not retried: an unanswered one may have taken effect. */
  create(volumeId: string, options?: CallOptions): Promise<Attachment>;
  /** Exports the volume to this host; answers with connectionInfo. */
  update(attachmentId: string, connector: ConnectorProperties, options?: CallOptions): Promise<Attachment>;
  /** Marks the attachment attached (idempotent). */
  complete(attachmentId: string, options?: CallOptions): Promise<void>;
  show(attachmentId: string, options?: CallOptions): Promise<Attachment>;
  listForVolume(volumeId: string, options?: CallOptions): Promise<readonly Attachment[]>;
  /** Deletes it; already gone is success. */
  delete(attachmentId: string, options?: CallOptions): Promise<void>;
}

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

/** Cinder's volumes API, the calls the lifecycle needs. */
export interface Volumes {
  show(volumeId: string, options?: CallOptions): Promise<Volume>;
  /** The volumes of our own project, and of no other. */
  list(options?: ListOptions): Promise<readonly Volume[]>;
}

/** A clone to make; `type` undefined asks for the type of the source. */
export interface CloneRequest {
  readonly source: string;
  /** Unique: a request whose answer was lost is found by it. */
  readonly name: string;
  readonly sizeGib: number;
  readonly type: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Cinder's volumes API, the calls for reading through a clone. */
export interface Clones {
  /** Begins to clone; the answer is still `creating`. `conflict` while the source is in a state that passes. Not retried: an unanswered one may have taken effect. */
  create(request: CloneRequest, options?: CallOptions): Promise<Volume>;
  /** The volumes of exactly that name. */
  named(name: string, options?: CallOptions): Promise<readonly Volume[]>;
  /** Begins to delete; already gone is success. */
  delete(volumeId: string, options?: CallOptions): Promise<void>;
  /** Names of the volume types whose volumes several hosts may attach; none where we may not see them. */
  multiattachTypes(options?: CallOptions): Promise<readonly string[]>;
}

/** Of a listing. */
export interface ListOptions extends CallOptions {
  /** Told once how many entries could not be understood and are left out. */
  readonly onSkipped?: ((count: number) => void) | undefined;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the whole call, retries included; the client's default when absent. */
  readonly deadlineMs?: number | undefined;
}
