import type { Held } from './held.js';
import type { Lease } from '../lease.js';

/**
 * One claim on what is held. Its release is told once, and not at all after a fence: that took all leases with it, and
 * what is held by then may be another attachment.
 */
export function leaseOn(held: Held, onRelease: (evict: boolean) => void): Lease {
  let released = false;
  return {
    volumeId: held.record.volumeId,
    attachmentId: held.record.attachmentId ?? '',
    source: held.connected.source,
    fenced: held.fence.signal,
    release: ({ evict = false } = {}) => {
      if (released || held.fence.signal.aborted) return;
      released = true;
      // Somebody could not read it: the next who opens it finds out why.
      if (evict) held.provenAt = -Infinity;
      onRelease(evict);
    },
  };
}
