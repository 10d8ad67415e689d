import { reasonOf } from '../../errors.js';
import type { AlignedReader } from './aligned-read.js';
import type { Claims } from './claims.js';
import { MAX_READ, PAGE_SIZE } from './protocol.js';
import type { SharedHandles } from './shared-handles.js';
import { HandleState } from './shared-handles.js';
import type { WorkerExports } from './worker-exports.js';
import type { WorkerImages } from './worker-images.js';
import type { ReadJob } from './worker-messages.js';
import type { WorkerReplies } from './worker-replies.js';

export interface WorkerReadsParts {
  readonly seat: number;
  readonly claims: Claims;
  readonly handles: SharedHandles;
  readonly reader: AlignedReader;
  readonly exports: WorkerExports;
  readonly images: WorkerImages;
  readonly replies: WorkerReplies;
  /** The source failed; `reason` is for the log. */
  readonly failed: (read: ReadJob, reason: string) => void;
}

/** READ, answered on the worker's own thread. */
export class WorkerReads {
  readonly #parts: WorkerReadsParts;

  constructor(parts: WorkerReadsParts) {
    this.#parts = parts;
  }

  /**
   * Answers `read` if its file is in one of the states up to `worst` and its bytes can be had here. False: not
   * answered, the main thread must, which also tries again what failed and knows what to say of it. True also when the
   * main thread answered while we were reading.
   */
  serve(read: ReadJob, worst: typeof HandleState.inline | typeof HandleState.queued): boolean {
    const { seat, claims, handles, replies } = this.#parts;
    const state = handles.state(read.fh);
    if (state === HandleState.free || state > worst || read.length > MAX_READ) return false;
    // O_DIRECT readers of an export or an RBD image have no page cache to share; the main thread's block cache serves them all.
    if (read.uncached && handles.cachedFd(read.fh) === -1) return false;
    const length = Math.max(0, Math.min(read.length, handles.size(read.fh) - read.offset));
    const claim = claims.open(seat, read);
    const start = this.#fill(read, length);
    if (!claims.take(seat, claim)) return true;
    // Fenced while we read: not one byte leaves. The main thread knows the reason to answer with.
    if (start === undefined || handles.state(read.fh) === HandleState.fenced) return false;
    replies.send(read.unique, start, length);
    return true;
  }

  /** Where in memory the bytes start; undefined when the source failed. */
  #fill(read: ReadJob, length: number): number | undefined {
    const { handles, reader, exports, images, failed } = this.#parts;
    const { fh, offset, uncached } = read;
    try {
      if (length === 0) return PAGE_SIZE;
      const place = handles.place(fh);
      if (place !== 0) return exports.read(place, reader.memory, PAGE_SIZE, offset, length);
      const image = handles.image(fh);
      if (image !== 0) return images.read(image, reader.memory, PAGE_SIZE, offset, length);
      if (uncached) return reader.read(handles.cachedFd(fh), offset, length, false);
      return reader.read(handles.fd(fh), offset, length, handles.direct(fh));
    } catch (error) {
      failed(read, reasonOf(error));
      return undefined;
    }
  }
}
