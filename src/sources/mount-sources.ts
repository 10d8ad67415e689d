import type { PublishedSource, Source, SourcePublisher } from './contract/source.js';
import type { SourceKinds } from './source-kinds.js';

/** A source that the workers of a mount can read. */
export interface MountSource {
  /** The index of its kind (SourceKinds). */
  readonly kind: number;
  readonly published: PublishedSource;
}

/** The worker half of a kind, as a worker thread is told to load it. */
export interface WorkerHalf {
  /** The URL of its module. */
  readonly module: string;
  readonly shared: SharedArrayBuffer | undefined;
}

/** The sources of one mount that its workers read: a publisher per kind. Main thread only. */
export class MountSources {
  readonly kinds: SourceKinds;
  /** In the order of the kinds. */
  readonly workerHalves: readonly WorkerHalf[];
  readonly #publishers: readonly SourcePublisher[];

  /** For a mount of up to `workers` threads. */
  constructor(kinds: SourceKinds, workers: number) {
    this.kinds = kinds;
    this.#publishers = kinds.all.map((kind) => kind.publisher(workers));
    this.workerHalves = kinds.all.map(({ workerModule }, index) => ({
      module: workerModule.href,
      shared: this.#publishers[index]?.memory,
    }));
  }

  /** See SourcePublisher.publish. */
  async publish(source: Source): Promise<MountSource | undefined> {
    const kind = this.kinds.indexOf(source);
    const published = await this.#publishers[kind]?.publish(source);
    return published === undefined ? undefined : { kind, published };
  }

  /** A worker is still in a read that was given up. */
  interrupt({ kind, published }: MountSource, worker: number): void {
    this.#publishers[kind]?.interrupt?.(published.slot, worker);
  }

  /** The thread of that worker has ended. */
  vacate(worker: number): void {
    for (const publisher of this.#publishers) publisher.vacate?.(worker);
  }

  /** The worker half of a kind called `tell`. */
  heard(kind: number, message: number): void {
    this.#publishers[kind]?.heard?.(message);
  }
}
