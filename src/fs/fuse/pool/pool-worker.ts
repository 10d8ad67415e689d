/** The nouns that the pool of workers, its stall watch and its stalled reads share. Main thread only. */
import type { Worker } from 'node:worker_threads';
import type { Descriptor } from '../files/descriptors.js';
import type { ReadJob } from '../worker/messages.js';

/** A READ that waits, and when it came. */
export interface QueuedRead {
  readonly job: ReadJob;
  /** Milliseconds of the clock; its deadline counts from here. */
  readonly since: number;
}

/** One worker thread and what it is doing, as the main thread sees it. */
export interface PoolWorker {
  readonly index: number;
  readonly worker: Pick<Worker, 'postMessage' | 'unref'>;
  /** serving: at /dev/fuse. stalled: in a read that does not return. waiting, handed: stalled-reads.ts has it. */
  state: 'serving' | 'stalled' | 'waiting' | 'handed';
  /** The read it is in, as stall-watch.ts saw it last. */
  watch?: Watch | undefined;
  /** The read that its queue handed it and that it has not reported done. */
  handed?: QueuedRead | undefined;
  lane?: StalledQueue | undefined;
}

/** A read that a worker is in. */
export interface Watch {
  readonly claim: number;
  readonly unique: bigint;
  /** When it was first seen, and from when its deadline counts. Milliseconds of the clock. */
  readonly seen: number;
  readonly since: number;
  /** The request was answered by the main thread; the worker is still inside. */
  taken: boolean;
}

/**
 * One stalled source: the workers inside its reads, those that came back, those that it handed a read, and the reads
 * that wait for one.
 */
export interface StalledQueue {
  readonly descriptor: Descriptor | undefined;
  readonly stalled: Set<PoolWorker>;
  readonly waiting: Set<PoolWorker>;
  readonly handed: Set<PoolWorker>;
  readonly queue: QueuedRead[];
}
