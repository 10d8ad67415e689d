/** What the main thread and its workers tell each other. Requests of the kernel travel as plain bytes. */
import type { InFlightShare } from '../shared/in-flight-slots.js';

/** The first message to a worker: what it is to serve. Descriptors are the process's: every thread has them. */
export interface WorkerStart {
  readonly fuseFd: number;
  readonly seat: number;
  /** Memory of Claims, SharedHandles, SharedPieces, SharedExports and SharedImages, the last two for so many seats. */
  readonly claims: SharedArrayBuffer;
  readonly handles: SharedArrayBuffer;
  readonly pieces: SharedArrayBuffer;
  readonly exports: SharedArrayBuffer;
  readonly images: SharedArrayBuffer;
  readonly seats: number;
  /** Where requests are kept for the engine after this one, where the kernel does not do that. */
  readonly inFlight: InFlightShare | undefined;
}

/** A READ that the main thread hands to a worker which waits for it. */
export interface ReadJob {
  readonly unique: bigint;
  /** Thread that waits for it; 0 when it is not visible from here. */
  readonly pid: number;
  readonly fh: number;
  readonly offset: number;
  readonly length: number;
  /** The reader has the file open O_DIRECT: its bytes do not pass through the page cache of the mount. */
  readonly uncached: boolean;
}

/** From a worker: a request it does not answer itself, or where it is. */
export type FromWorker =
  | Uint8Array
  /** The same, and the slot that keeps it until it is answered. */
  | { readonly kind: 'kept'; readonly bytes: Uint8Array; readonly slot: number }
  /** It waits for a WorkerStart. */
  | { readonly kind: 'loaded' }
  /** It was recalled, or finished a job, and waits for a message; the request it answered, if it did. */
  | { readonly kind: 'waiting'; readonly answered?: bigint }
  /** The worker cannot serve a job: the file is fenced, or the source failed. */
  | { readonly kind: 'refused'; readonly job: ReadJob }
  /** It is no longer inside of an image that was withdrawn (shared-images.ts). */
  | { readonly kind: 'left'; readonly place: number }
  /** The source failed under a READ, which the main thread now tries. */
  | { readonly kind: 'failed'; readonly fh: number; readonly offset: number; readonly reason: string };

/** To a worker that is `waiting`. */
export type ToWorker =
  | { readonly kind: 'read'; readonly job: ReadJob }
  /** Back to /dev/fuse. */
  | { readonly kind: 'rejoin' }
  | { readonly kind: 'retire' };
