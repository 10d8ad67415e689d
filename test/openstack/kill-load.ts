import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { READERS } from '../soak/readers.js';
import { count, listCounts } from '../soak/tally.js';
import type { TestImage } from '../support/cloud.js';
import type { Random } from '../support/random.js';
import { moment } from '../support/time.js';

/** Longest pause between two readers of a lane, in milliseconds: volumes must be let go of now and then. */
const PAUSE_MS = 1_500;

export interface KillLoadOptions {
  readonly mountpoint: string;
  readonly images: readonly TestImage[];
  /** For copies. */
  readonly scratch: string;
  readonly lanes: number;
  readonly random: Random;
}

/** Readers of every kind that go on whatever happens to the mount: they may fail, they may not read wrong bytes. */
export class KillLoad {
  readonly wrong: string[] = [];
  readers = 0;
  bytes = 0;
  readonly #options: KillLoadOptions;
  readonly #errors = new Map<string, number>();
  readonly #lanes: Promise<void>[];
  #stopped = false;

  private constructor(options: KillLoadOptions) {
    this.#options = options;
    this.#lanes = Array.from({ length: options.lanes }, () => this.#read(options.random.fork()));
  }

  static async start(options: KillLoadOptions): Promise<KillLoad> {
    await mkdir(options.scratch, { recursive: true });
    return new KillLoad(options);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#lanes);
  }

  says(): string {
    return (
      `${this.readers} readers proved ${(this.bytes / 1e9).toFixed(1)} GB right, ` +
      `${this.wrong.length} read wrong bytes; errors: ${listCounts(this.#errors)}`
    );
  }

  async #read(random: Random): Promise<void> {
    const { mountpoint, images, scratch: dir } = this.#options;
    while (!this.#stopped) {
      const [image, reader] = [random.pick(images), random.weighted(READERS)];
      const file = path.join(mountpoint, image.id);
      const { bytes, errno, wrong } = await reader.read({ file, image, dir, random });
      if (wrong !== undefined) this.wrong.push(`${image.name}, ${reader.name}: ${wrong}`);
      if (errno === undefined) this.readers += 1;
      else count(this.#errors, errno);
      this.bytes += bytes;
      await moment(random.whole(0, PAUSE_MS));
    }
  }
}
