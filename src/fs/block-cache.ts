/**
 * Settled, aligned blocks of image data, bounded in bytes, least recently used out first; shared by all readers of all
 * volumes. For sources that the page cache does not serve.
 *
 * Only settled blocks are in the LRU: lru-cache counts a fetch in flight as nothing and aborts it on eviction (F5).
 * Blocks in flight are in a map of their own, one fetch for all who want one; a failed block is in neither, so the
 * next reader fetches it again (F6).
 */
import { LRUCache } from 'lru-cache';
import { coalesce } from './blocks.js';
import type { BlockRun } from './blocks.js';
import { ReadBudget } from './read-budget.js';

export interface BlockCacheOptions {
  /** Bytes of settled blocks and blocks in flight together. */
  readonly bytes: number;
  readonly blockSize: number;
  /** Bytes that one request to a source fetches at most; missing neighbours are fetched together up to this. */
  readonly requestBytes: number;
}

/** One volume as the cache sees it. */
export interface BlockSource {
  readonly volume: string;
  /** Bytes of the image on it. */
  readonly size: number;
  /** Bytes in block `block`. */
  lengthOf(block: number): number;
  /** Fills one buffer per block of the run. */
  load(first: number, buffers: readonly Buffer[]): Promise<void>;
}

export class BlockCache {
  readonly #options: BlockCacheOptions;
  readonly #settled: LRUCache<string, Buffer>;
  readonly #inFlight = new Map<string, Promise<Buffer>>();
  readonly #budget: ReadBudget;
  /** Grows when a volume is purged: what was in flight then is not kept when it settles. */
  readonly #epochs = new Map<string, number>();

  constructor(options: BlockCacheOptions) {
    this.#options = options;
    this.#settled = new LRUCache({ maxSize: options.bytes, sizeCalculation: ({ length }) => length });
    const total = Math.max(options.requestBytes, options.bytes / 2);
    this.#budget = new ReadBudget({ total, perVolume: Math.max(options.requestBytes, total / 4) });
  }

  get blockSize(): number {
    return this.#options.blockSize;
  }

  /** Bytes settled and in flight, for the one memory budget. */
  get bytes(): number {
    return this.#settled.calculatedSize + this.#budget.inFlight;
  }

  /** The blocks of `run`, in order: from the cache, from fetches under way, and the missing ones fetched together. */
  async blocks(source: BlockSource, run: BlockRun): Promise<Buffer[]> {
    const found = new Map<number, Buffer | Promise<Buffer>>();
    const missing: number[] = [];
    for (const block of numbers(run)) {
      const here = this.#find(source, block);
      if (here === undefined) missing.push(block);
      else found.set(block, here);
    }
    const fetches = this.#fetch(source, missing, (bytes) => this.#budget.take(source.volume, bytes));
    for (const [block, fetch] of fetches) found.set(block, fetch);
    return Promise.all([...found].sort(([a], [b]) => a - b).map(async ([, block]) => block));
  }

  /** Whether all of `run` is here or on its way. */
  holds(source: BlockSource, run: BlockRun): boolean {
    return numbers(run).every((block) => this.#has(source, block));
  }

  /** Starts to fetch what is missing of `run` as far as nobody has to wait for it. Failures are left to the reader. */
  prefetch(source: BlockSource, run: BlockRun): void {
    const missing = numbers(run).filter((block) => !this.#has(source, block));
    for (const { first, count } of coalesce(missing, this.#blocksPerRequest)) {
      const blocks = numbers({ first, count });
      if (this.#budget.contended(source.volume)) return;
      if (!this.#budget.tryTake(source.volume, bytesOf(source, blocks))) return;
      this.#fetch(source, blocks, () => undefined);
    }
  }

  /** Forgets everything of that volume, blocks in flight included. */
  purge(volume: string): void {
    this.#epochs.set(volume, this.#epochOf(volume) + 1);
    const prefix = `${volume} `;
    for (const name of this.#settled.keys()) if (name.startsWith(prefix)) this.#settled.delete(name);
    for (const name of this.#inFlight.keys()) if (name.startsWith(prefix)) this.#inFlight.delete(name);
  }

  get #blocksPerRequest(): number {
    return Math.max(1, Math.floor(this.#options.requestBytes / this.#options.blockSize));
  }

  #has(source: BlockSource, block: number): boolean {
    const name = nameOf(source, block);
    return this.#settled.has(name) || this.#inFlight.has(name);
  }

  #find(source: BlockSource, block: number): Buffer | Promise<Buffer> | undefined {
    const name = nameOf(source, block);
    return this.#settled.get(name) ?? this.#inFlight.get(name);
  }

  /** Puts every block of `missing` in flight, one request per run of neighbours. */
  #fetch(
    source: BlockSource,
    missing: readonly number[],
    admit: (bytes: number) => Promise<void> | undefined,
  ): Map<number, Promise<Buffer>> {
    const fetches = new Map<number, Promise<Buffer>>();
    for (const run of coalesce(missing, this.#blocksPerRequest)) {
      const blocks = numbers(run);
      const request = this.#request(source, blocks, admit);
      blocks.forEach((block, index) => {
        const name = nameOf(source, block);
        const fetch = request.then((buffers) => buffers[index] ?? Buffer.alloc(0));
        fetches.set(block, fetch);
        this.#inFlight.set(name, fetch);
        // Whoever reads it hears of a failure; here only the entry goes.
        const forget = (): void => {
          if (this.#inFlight.get(name) === fetch) this.#inFlight.delete(name);
        };
        fetch.then(forget, forget);
      });
    }
    return fetches;
  }

  async #request(
    source: BlockSource,
    blocks: readonly number[],
    admit: (bytes: number) => Promise<void> | undefined,
  ): Promise<Buffer[]> {
    const bytes = bytesOf(source, blocks);
    const epoch = this.#epochOf(source.volume);
    await admit(bytes);
    try {
      this.#makeRoom();
      const buffers = blocks.map((block) => Buffer.allocUnsafeSlow(source.lengthOf(block)));
      await source.load(blocks[0] ?? 0, buffers);
      if (epoch === this.#epochOf(source.volume)) {
        blocks.forEach((block, index) => this.#settled.set(nameOf(source, block), buffers[index]));
      }
      return buffers;
    } finally {
      this.#budget.release(source.volume, bytes);
    }
  }

  /** Settled blocks give way to those in flight: both are in one budget. */
  #makeRoom(): void {
    while (this.bytes > this.#options.bytes && this.#settled.size > 0) this.#settled.pop();
  }

  #epochOf(volume: string): number {
    return this.#epochs.get(volume) ?? 0;
  }
}

/** Volume first, so that all of a volume's blocks share a prefix. An image that grew has blocks of its own. */
function nameOf({ volume, size }: BlockSource, block: number): string {
  return `${volume} ${size} ${block}`;
}

function numbers({ first, count }: BlockRun): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

function bytesOf(source: BlockSource, blocks: readonly number[]): number {
  return blocks.reduce((sum, block) => sum + source.lengthOf(block), 0);
}
