import { MAX_READ } from '../protocol/opcodes.js';
import type { WorkerHalf } from '../../../sources/mount-sources.js';
import { readRoom } from '../../../sources/contract/read-room.js';
import type { WorkerModule, WorkerSource } from '../../../sources/contract/source.js';

export interface WorkerSources {
  /** What sources are read into. */
  readonly memory: Buffer;
  /** The worker half of each kind, by its index. */
  readonly readers: readonly WorkerSource[];
}

export interface WorkerSeat {
  readonly workerId: number;
  readonly workers: number;
  readonly sources: readonly WorkerHalf[];
}

/** Loads the worker half of every kind of source. `tell` reaches the main half of a kind. */
export async function loadSources(
  { workerId: worker, workers: workers, sources }: WorkerSeat,
  tell: (source: number, message: number) => void,
): Promise<WorkerSources> {
  const memory = readRoom(MAX_READ);
  const modules = await Promise.all(sources.map(({ module }) => loadModule(module)));
  const readers = modules.map(({ onWorker }, index) =>
    onWorker({
      shared: sources[index]?.shared,
      worker,
      workers,
      memory,
      tell: (message) => tell(index, message),
    }),
  );
  return { memory, readers };
}

/** By URL, so that a kind of source needs no line here. */
export async function loadModule(module: string): Promise<WorkerModule> {
  return (await import(module)) as WorkerModule;
}
