import type { Volume } from '../../cinder/contract/volumes.js';
import type { AttachContext } from '../context/context.js';
import { refused } from '../context/refusal.js';
import type { AttachmentRecord } from '../journal/record.js';
import type { Made, Target } from './target.js';

/** The image's volume itself: there is nothing to make, and nothing to remove. */
export class DirectTarget implements Target {
  readonly leaves = false;
  readonly outlivesSource = false;
  readonly renamed = false;
  readonly #record: AttachmentRecord;

  constructor(record: AttachmentRecord) {
    this.#record = record;
  }

  async make(source: Volume, context: AttachContext): Promise<Made> {
    const before = await attachmentsOf(source.id, context);
    return { record: { ...this.#record, before }, volume: source };
  }

  remove(): Promise<void> {
    return Promise.resolve();
  }

  /** While we hold a volume that is not multiattach no other host can use it. */
  get lingers(): boolean {
    return this.#record.multiattach;
  }

  lostAt(): AttachmentRecord {
    return this.#record;
  }

  abandoned(): Promise<boolean> {
    return Promise.resolve(false);
  }
}

async function attachmentsOf(volumeId: string, { attachments }: AttachContext): Promise<readonly string[]> {
  const listed = await attachments.listForVolume(volumeId).catch((error: unknown) => {
    throw refused(error, volumeId);
  });
  return listed.map(({ id }) => id);
}
