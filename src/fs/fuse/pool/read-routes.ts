import type { Opened } from '../files/opened.js';
import type { StalledReads } from './stalled-reads.js';
import type { QueuedRead } from './pool-worker.js';
import type { SharedPieces } from '../../../sources/cache/shared-pieces.js';
import type { ReadJob } from '../worker/messages.js';

/** Which way a READ goes that no worker answered: from memory, into the queue of its source, or to the file system. */
export class ReadRoutes {
  readonly #lanes: () => StalledReads;
  readonly #pieces: SharedPieces;

  constructor(lanes: () => StalledReads, pieces: SharedPieces) {
    this.#lanes = lanes;
    this.#pieces = pieces;
  }

  /** The bytes of a read that are in memory already, whatever has become of their source. */
  kept({ descriptor, file }: Opened, { offset, length }: ReadJob): Buffer | undefined {
    if (descriptor === undefined || offset >= file.size) return undefined;
    return this.#pieces.find(descriptor.number, offset, Math.min(length, file.size - offset));
  }

  /** True when the queue of a stalled source took the read and will answer it. */
  queue({ descriptor }: Opened, read: QueuedRead): boolean {
    if (descriptor === undefined) return false;
    // No worker serves these: the file system has them in its cache, or reads them itself.
    if (read.job.uncached && descriptor.number !== 0) return false;
    return this.#lanes().enqueue(descriptor, read);
  }
}
