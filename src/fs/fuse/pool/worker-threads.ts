import { Worker } from 'node:worker_threads';
import { sourceKinds } from '../../../sources/registry.js';
import type { FromWorker, WorkerStart } from '../worker/messages.js';

/** The threads that workers run in. Some may be loaded before there is a mount to serve: that takes each 50 ms and more. */
export class WorkerThreads {
  /** Settles when those that were started ahead have loaded everything. */
  readonly loaded: Promise<unknown>;
  readonly #ahead: Worker[];

  constructor(ahead = 0) {
    this.#ahead = Array.from({ length: ahead }, start);
    for (const thread of this.#ahead) thread.once('exit', () => this.#lose(thread));
    this.loaded = Promise.all(this.#ahead.map(isLoaded));
  }

  /** A thread that does `work`; the caller's from now on. */
  take(work: WorkerStart): Worker {
    const thread = this.#ahead.pop() ?? start();
    thread.postMessage(work);
    return thread;
  }

  /** It failed to load; the pool will meet that failure again and knows what to do. */
  #lose(thread: Worker): void {
    const at = this.#ahead.indexOf(thread);
    if (at >= 0) this.#ahead.splice(at, 1);
  }
}

function start(): Worker {
  return new Worker(new URL('../worker/worker.js', import.meta.url), {
    name: 'fuse',
    execArgv: [],
    workerData: sourceKinds().all.map(({ workerModule }) => workerModule.href),
    // A worker keeps nothing: its buffers live outside the heap.
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 },
  });
}

/** Settles also when it fails to. */
function isLoaded(thread: Worker): Promise<void> {
  return new Promise((resolve) => {
    thread.once('message', (message: FromWorker) => {
      if ('kind' in message && message.kind === 'loaded') resolve();
    });
    thread.once('error', () => resolve());
  });
}
