import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

declare const WebAssembly: {
  readonly Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer };
};

const BLOCK = 65_536;

/** Reads a device from end to end, again and again, past every cache, until it is told to stop. */
export class Reader {
  rounds = 0;
  /** The longest that one read took, in milliseconds. */
  slowest = 0;
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(path: string, bytes: number) {
    this.#done = this.#read(path, bytes);
    // Judged in stop(): a failure before that must not end the process.
    this.#done.catch(() => undefined);
  }

  /** Rejects with the first read that failed. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #read(path: string, bytes: number): Promise<void> {
    // Page-aligned, as O_DIRECT wants it.
    const buffer = Buffer.from(new WebAssembly.Memory({ initial: 1 }).buffer, 0, BLOCK);
    const file = await open(path, constants.O_RDONLY | constants.O_DIRECT);
    try {
      for (let offset = 0; !this.#stopped; offset = (offset + BLOCK) % bytes) {
        const started = performance.now();
        await file.read(buffer, 0, BLOCK, offset);
        this.slowest = Math.max(this.slowest, performance.now() - started);
        if (offset === 0) this.rounds++;
      }
    } finally {
      await file.close();
    }
  }
}
