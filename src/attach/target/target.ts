import type { Volume } from '../../cinder/contract/volumes.js';
import type { Connector } from '../connection/connector.js';
import type { AttachContext } from '../context/context.js';
import type { AttachmentRecord, HostRecord } from '../journal/record.js';

/**
 * What is attached of an image: its volume, or a clone of it. All that is different for the two is here; the steps of an
 * attachment, from any of which undo() begins, are the same.
 */
export interface Target {
  /**
   * Makes what is to be attached, where it is not there yet; its volume and its record. Rejects as makeClone() does, and
   * with what Cinder refuses.
   */
  make(source: Volume, context: AttachContext, signal: AbortSignal): Promise<Made>;
  /** Removes what make() made, also where it is unknown whether it did; idempotent. Not before it is detached. */
  remove(context: AttachContext, signal: AbortSignal): Promise<void>;
  /** Whether a reservation that was refused leaves something to remove. */
  readonly leaves: boolean;
  /** Whether it may stay attached without a reader: that keeps no other host from it. */
  readonly lingers: boolean;
  /** Whether it stands without the image's volume. */
  readonly outlivesSource: boolean;
  /** Whether the backend calls it otherwise than the image's volume. */
  readonly renamed: boolean;
  /** The record, once a connection was lost that may have closed nothing; `wall` in milliseconds. */
  lostAt(wall: number): AttachmentRecord;
  /** Whether its backend may count a reader that is gone, so that remove() has to wait. */
  abandoned(connector: Connector, host: HostRecord): Promise<boolean>;
}

export interface Made {
  readonly record: AttachmentRecord;
  readonly volume: Volume;
}
