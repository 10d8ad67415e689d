/** Cinder's attachments, in the product's own words. */
import type { CallOptions } from './calls.js';

/** reserved, attaching, attached, detaching, ...: Cinder may add more. */
export type AttachmentStatus = string;

export interface Attachment {
  readonly id: string;
  readonly volumeId: string;
  readonly status: AttachmentStatus;
  readonly attachMode: 'ro' | 'rw' | undefined;
  readonly instanceId: string | undefined;
  readonly connectionInfo: ConnectionInfo | undefined;
}

/** What Cinder tells a host about reaching a volume. Flat; holds secrets: never logged, never stored whole. */
export interface ConnectionInfo {
  readonly driver_volume_type: string;
  readonly [key: string]: unknown;
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
