/** Volumes and clones of them, in the product's own words. */
import type { CallOptions, ListOptions } from './calls.js';

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

/** Cinder's volumes API, the calls the lifecycle needs. */
export interface Volumes {
  show(volumeId: string, options?: CallOptions): Promise<Volume>;
  /** The volumes of our own project, and of no other. */
  list(options?: ListOptions): Promise<readonly Volume[]>;
  /** The snapshots of one volume, in whatever state. */
  snapshots(volumeId: string, options?: CallOptions): Promise<readonly Snapshot[]>;
}

/** What a volume was at some time; its file, where the backend has files, has this id in its name. */
export interface Snapshot {
  readonly id: string;
  readonly volumeId: string;
  /** available, creating, deleting, error, error_deleting, ... */
  readonly status: string;
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
