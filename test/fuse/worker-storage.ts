import type { Descriptor } from '../../src/fs/fuse/files/descriptors.js';

/** A storage that answers, or does not until it is well again. */
export class Storage {
  readonly fh: number;
  readonly descriptor: Descriptor;
  holds = 0;
  stalled = false;
  /** It has stalled at least once. */
  failed = false;
  /** Its reads that wait in a lane, in the order in which they came. */
  readonly queue: bigint[] = [];
  #waiting: (() => void)[] = [];

  constructor(fh: number) {
    this.fh = fh;
    const published = { slot: fh, close: () => undefined };
    this.descriptor = { name: `storage ${fh}`, kind: 0, number: 0, published };
  }

  read(): Promise<void> {
    return this.stalled ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve();
  }

  stall(): void {
    this.stalled = true;
    this.failed = true;
  }

  heal(): void {
    this.stalled = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** What the kernel asked and who answered: `worker`, `main`, or an errno. */
export interface Asked {
  readonly unique: bigint;
  readonly fh: number;
  readonly at: number;
  readonly answers: { readonly by: string; readonly at: number }[];
}
