import { type Clock, sleep } from '../../async/clock.js';
import type { LiveAttachment } from './live-attachment.js';
import { isLost } from './proving.js';
import type { Lease } from '../contract/lease.js';

const LOSS_SHOWS_MS = 1_000;

/** What a lease asks of the attachment that it is a claim on. */
export interface LeaseCalls {
  readonly release: (evict: boolean) => void;
  readonly prove: () => Promise<void>;
  readonly clock: Clock;
}

/**
 * One claim on what is held. Its release is told once, and not at all after a fence: that took all leases with it, and
 * what is held by then may be another attachment.
 */
export function leaseOn(held: LiveAttachment, calls: LeaseCalls): Lease {
  let released = false;
  return {
    volumeId: held.record.volumeId,
    attachmentId: held.record.attachmentId ?? '',
    source: held.connected.source,
    fenced: held.fence.signal,
    connection: () => held.connections,
    renewed: async (connection) => {
      // A file goes nowhere.
      if (held.connected.source.kind === 'file') return false;
      // The read may fail some milliseconds before the loss shows.
      if (held.connections === connection) await lossOf(held, calls.clock);
      await held.reconnecting;
      return held.connections !== connection && !held.fence.signal.aborted;
    },
    prove: calls.prove,
    release: ({ evict = false } = {}) => {
      if (released || held.fence.signal.aborted) return;
      released = true;
      // A read of it failed: the next open finds out why.
      if (evict) held.provenAt = -Infinity;
      calls.release(evict);
    },
  };
}

/** Resolves when the connection is lost, at the latest when it would have shown. */
async function lossOf({ connected }: LiveAttachment, clock: Clock): Promise<void> {
  if (!(await isLost(connected))) await sleep(clock, LOSS_SHOWS_MS, connected.lost).catch(() => undefined);
}
