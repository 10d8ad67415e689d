/** What the main thread and its workers tell each other. Requests of the kernel travel as plain bytes. */
import type { OpenOutcome } from './opens.js';
import type { WorkerHalf } from '../../../sources/mount-sources.js';
import type { WorkerChannelHandle } from '../channel/worker-channel.js';
import type { InFlightShare } from '../shared/in-flight-slots.js';

/** The first message to a worker: what it is to serve. Descriptors are the process's: every thread has them. */
export interface WorkerStart {
  readonly channel: WorkerChannelHandle;
  readonly workerId: number;
  /** Memory of ReplyOwnership, SharedHandles, SharedOpens and SharedPieces. */
  readonly claims: SharedArrayBuffer;
  readonly handles: SharedArrayBuffer;
  readonly opens: SharedArrayBuffer;
  readonly pieces: SharedArrayBuffer;
  /** What it reads sources by, in the order of the kinds, and how many workers there may be. */
  readonly sources: readonly WorkerHalf[];
  readonly workers: number;
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
  /** From the worker half of that kind of source to its main half (WorkerContext.tell). */
  | { readonly kind: 'source'; readonly source: number; readonly message: number }
  /** What became of an open that was prepared (shared-opens.ts) and that it took. */
  | { readonly kind: 'opened'; readonly slot: number; readonly outcome: OpenOutcome }
  /** The source failed under a READ, which the main thread now tries. */
  | { readonly kind: 'failed'; readonly fh: number; readonly offset: number; readonly reason: string };

/** To a worker that is `waiting`. */
export type ToWorker =
  | { readonly kind: 'read'; readonly job: ReadJob }
  /** Back to /dev/fuse. */
  | { readonly kind: 'rejoin' }
  | { readonly kind: 'retire' };
