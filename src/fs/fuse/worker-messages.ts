/** What the main thread and its workers tell each other. Requests of the kernel travel as plain bytes. */

/** How a worker is started. Descriptors are the process's: every thread has them. */
export interface WorkerStart {
  readonly fuseFd: number;
  readonly seat: number;
  /** Memory of Claims and SharedHandles. */
  readonly claims: SharedArrayBuffer;
  readonly handles: SharedArrayBuffer;
}

/** A READ that the main thread hands to a worker which waits for it. */
export interface ReadJob {
  readonly unique: bigint;
  readonly fh: number;
  readonly offset: number;
  readonly length: number;
}

/** From a worker: a request it does not answer itself, or where it is. */
export type FromWorker =
  | Uint8Array
  /** It was recalled, or finished a job, and waits for a message. */
  | { readonly kind: 'waiting' }
  /** The file of a job is not to be served any more. */
  | { readonly kind: 'refused'; readonly job: ReadJob }
  /** A READ failed in a way that an operator should see; it was answered. */
  | { readonly kind: 'failed'; readonly fh: number; readonly offset: number; readonly reason: string };

/** To a worker that is `waiting`. */
export type ToWorker =
  | { readonly kind: 'read'; readonly job: ReadJob }
  /** Back to /dev/fuse. */
  | { readonly kind: 'rejoin' }
  | { readonly kind: 'retire' };
