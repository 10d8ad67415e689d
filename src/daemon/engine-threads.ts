import { WORKERS } from '../fs/fuse/pool/worker-counts.js';
import { WorkerThreads } from '../fs/fuse/pool/worker-threads.js';

export type { WorkerThreads };

/** The threads of an engine, which load from now on. Without a supervisor they load when there is a mount: none yet. */
export function engineThreads(supervised: boolean): WorkerThreads {
  return new WorkerThreads(supervised ? WORKERS : 0);
}
