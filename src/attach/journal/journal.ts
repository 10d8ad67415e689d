import type { AttachmentRecord } from './record.js';

/**
 * The attachments of this host, one record per volume.
 *
 * Contract: when write() has resolved, the record survives a power cut; a reader sees the old record or the new one,
 * never a torn one. get() and list() answer from memory, at once. Writes of one volume never overlap: each volume has
 * one driver.
 */
export interface Journal {
  get(volumeId: string): AttachmentRecord | undefined;
  list(): readonly AttachmentRecord[];
  write(record: AttachmentRecord): Promise<void>;
  remove(volumeId: string): Promise<void>;
}
