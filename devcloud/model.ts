/** What exists in this cloud. Plain records in maps: tests read and assert on them, state.json holds them. */

import type { AttachmentStatus, AttachEvent, VolumeStatus } from './volume-state.js';
import { next } from './volume-state.js';
import { ApiError } from './service.js';

export type ImageStatus = 'queued' | 'saving' | 'active' | 'deactivated' | 'deleted' | 'killed';
export type Visibility = 'public' | 'private' | 'shared' | 'community';

export interface ImageLocation {
  readonly url: string;
  readonly metadata: { readonly store?: string };
}

export interface Image {
  readonly id: string;
  name: string | null;
  status: ImageStatus;
  /** Bytes; null while queued. */
  size: number | null;
  virtualSize: number | null;
  diskFormat: string | null;
  containerFormat: string | null;
  visibility: Visibility;
  hidden: boolean;
  protected: boolean;
  /** Project id. */
  owner: string;
  checksum: string | null;
  hashAlgorithm: string | null;
  hashValue: string | null;
  locations: readonly ImageLocation[];
  tags: readonly string[];
  properties: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  createdAt: number;
  updatedAt: number;
  /** The volume that holds it; undefined for an image that is not in Cinder. */
  volumeId: string | undefined;
  /** Name of the file under images/ it was made from, and which state of that file: see image-files.ts. */
  file: { readonly name: string; readonly fingerprint: string } | undefined;
}

export interface Volume {
  readonly id: string;
  name: string | null;
  status: VolumeStatus;
  sizeGib: number;
  typeName: string;
  multiattach: boolean;
  projectId: string;
  userId: string;
  metadata: Record<string, string>;
  /** Cinder's admin metadata `readonly`: undefined until os-update_readonly_flag. */
  readonly: boolean | undefined;
  /** Its own format, where the backend keeps one (admin metadata): what GET says, whatever the content looks like. */
  format?: 'raw' | 'qcow2' | undefined;
  encrypted?: boolean | undefined;
  sourceVolid: string | null;
  bootable: boolean;
  /** Where its bytes are on this host: what the connection info names. */
  path: string;
  /** The snapshot whose file is written to, and named instead (volume-overlay.ts). */
  active?: string | undefined;
  createdAt: number;
  updatedAt: number;
}

export interface Snapshot {
  readonly id: string;
  readonly volumeId: string;
  readonly name: string | null;
  status: 'creating' | 'available' | 'error' | 'error_deleting';
  readonly sizeGib: number;
  readonly projectId: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly createdAt: number;
}

export interface Attachment {
  readonly id: string;
  readonly volumeId: string;
  status: AttachmentStatus;
  readonly instance: string | null;
  /** 'null' (the word) when the caller gave none; null until Cinder has stored it. */
  mode: string | null;
  connector: Readonly<Record<string, unknown>> | null;
  /** Flat, as GET shows it. Empty before the connector, null when the connector failed. */
  connectionInfo: Readonly<Record<string, unknown>> | null;
  attachedAt: number | null;
  readonly createdAt: number;
}

/** Everything there is. Call `touch` after changing a record, so that it is saved before the next reply. */
export class Cloud {
  readonly images = new Map<string, Image>();
  readonly volumes = new Map<string, Volume>();
  readonly attachments = new Map<string, Attachment>();
  readonly snapshots = new Map<string, Snapshot>();
  #changes = 0;
  #lastStamp = 0;

  /** Grows with every change. */
  get changes(): number {
    return this.#changes;
  }

  touch(): void {
    this.#changes += 1;
  }

  /** Now, but later than every stamp before: lists sorted by time keep their order. */
  stamp(): number {
    this.#lastStamp = Math.max(this.#lastStamp + 1, Date.now());
    return this.#lastStamp;
  }

  attachmentsOf(volumeId: string): Attachment[] {
    return [...this.attachments.values()].filter((attachment) => attachment.volumeId === volumeId);
  }

  imageOf(volumeId: string): Image | undefined {
    return [...this.images.values()].find((i) => i.volumeId === volumeId && i.status !== 'deleted');
  }

  /**
   * Takes one step of the state machine on `volume` and stores the outcome; after `reserve` the caller stores the
   * record of the new attachment. Throws an ApiError (400, InvalidVolume) and changes nothing when Cinder refuses.
   */
  step(volume: Volume, event: AttachEvent): void {
    const held = this.attachmentsOf(volume.id).map((a) => ({ ...a, connected: isConnected(a) }));
    const { id: volumeId, status, multiattach } = volume;
    const outcome = next({ volumeId, status, multiattach, attachments: held }, event);
    if ('refused' in outcome) throw new ApiError(400, `Invalid volume: ${outcome.refused.invalidVolume}`);
    volume.status = outcome.state.status;
    volume.updatedAt = Date.now();
    for (const { id, status: became } of outcome.state.attachments) {
      const record = this.attachments.get(id);
      if (record !== undefined) record.status = became;
    }
    if (event.is === 'delete') this.attachments.delete(event.id);
    this.touch();
  }
}

function isConnected(attachment: Attachment): boolean {
  return Object.keys(attachment.connectionInfo ?? {}).length > 0;
}
