import type { Clock } from '../../async/clock.js';
import type { Slots } from '../../async/slots.js';
import type { BlockCache } from '../cache/block-cache.js';

/** What readers of the main thread share. */
export interface ReaderServices {
  readonly clock: Clock;
  /** Milliseconds that a request to a source may stay unanswered. */
  readonly requestMs: number;
  /** For sources that the host's page cache does not keep. */
  readonly cache: BlockCache;
  /** Bytes to read ahead of a sequential reader at most; 0 for none. */
  readonly readAheadBytes: number;
  /** Threads of libuv's pool that one source may hold. */
  readonly slotsPerSource: number;
  /** The threads that all sources together may hold. */
  readonly threads: Slots;
}
