/**
 * Settled, aligned blocks of image data, bounded in bytes, least recently used out first; shared by all readers of all
 * volumes. For sources that the page cache does not serve.
 *
 * Only settled blocks are in the LRU: lru-cache counts a fetch in flight as nothing and aborts it on eviction (F5).
 * Blocks in flight are in a map of their own, one fetch for all its readers; a failed block is in neither, so the
 * next reader fetches it again (F6).
 */
import { LRUCache } from 'lru-cache';
import { Block, BlockArena } from './block-arena.js';
import { coalesce, slicesOf } from './blocks.js';
import type { BlockRun, BlockSlice } from './blocks.js';
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
  /** Fills one buffer per block, from block `first` on. */
  load(first: number, buffers: readonly Buffer[]): Promise<void>;
}

export class BlockCache {
  readonly #options: BlockCacheOptions;
  readonly #settled: LRUCache<string, Block>;
  readonly #inFlight = new Map<string, Block>();
  readonly #arena: BlockArena;
  readonly #budget: ReadBudget;
  /** Grows when a volume is purged: what was in flight then is not kept when it settles. */
  readonly #epochs = new Map<string, number>();

  constructor(options: BlockCacheOptions) {
    this.#options = options;
    const limit = Math.max(1, Math.floor(options.bytes / options.blockSize));
    this.#settled = new LRUCache({ max: limit, dispose: (block) => block.unpin() });
    this.#arena = new BlockArena(options.blockSize, limit, () => this.#settled.pop() !== undefined);
    const total = Math.max(options.requestBytes, options.bytes / 2);
    this.#budget = new ReadBudget({ total, perVolume: Math.max(options.requestBytes, total / 4) });
  }

  get blockSize(): number {
    return this.#options.blockSize;
  }

  /** Bytes settled and in flight, for the one memory budget. */
  get bytes(): number {
    return this.#arena.bytesInUse;
  }

  /**
   * A copy of [offset, offset + length): from settled blocks, from fetches under way, and the missing blocks fetched
   * together. A copy, because the block's memory is used again.
   */
  async read(source: BlockSource, offset: number, length: number): Promise<Buffer> {
    const slices = slicesOf(offset, length, this.blockSize);
    const blocks = this.#pinned(source, slices);
    try {
      for (const block of blocks) await block.filled;
      return copyOut(slices, blocks, length);
    } finally {
      for (const block of blocks) block.unpin();
    }
  }

  /** Whether all of `run` is here or on its way. */
  holds(source: BlockSource, run: BlockRun): boolean {
    return numbers(run).every((block) => this.#has(source, block));
  }

  /**
   * Starts to fetch what is missing of `run` as far as that needs no waiting; true when all of it is on its way.
   * Failures are left to the reader.
   */
  prefetch(source: BlockSource, run: BlockRun): boolean {
    const missing = numbers(run).filter((block) => !this.#has(source, block));
    for (const { first, count } of coalesce(missing, this.#blocksPerRequest)) {
      const blocks = numbers({ first, count });
      if (this.#budget.contended(source.volume)) return false;
      if (!this.#budget.tryTake(source.volume, bytesOf(source, blocks))) return false;
      this.#fetch(source, blocks, () => undefined);
    }
    return true;
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

  /** The block of each slice, pinned for the caller; the missing ones are put in flight. */
  #pinned(source: BlockSource, slices: readonly BlockSlice[]): Block[] {
    const missing = slices.map(({ block }) => block).filter((block) => !this.#has(source, block));
    // Before anything is fetched: making room for it must not evict what is wanted here.
    const found = new Map<number, Block>();
    for (const { block } of slices) {
      const here = this.#find(source, block);
      if (here !== undefined) found.set(block, here.pin());
    }
    const fetched = this.#fetch(source, missing, (bytes) => this.#budget.take(source.volume, bytes));
    for (const [block, fetch] of fetched) found.set(block, fetch.pin());
    return [...found].sort(([a], [b]) => a - b).map(([, block]) => block);
  }

  #find(source: BlockSource, block: number): Block | undefined {
    const name = nameOf(source, block);
    return this.#settled.get(name) ?? this.#inFlight.get(name);
  }

  /** Puts every block of `missing` in flight, one request per run of neighbours. */
  #fetch(
    source: BlockSource,
    missing: readonly number[],
    admit: (bytes: number) => Promise<void> | undefined,
  ): Map<number, Block> {
    const fetched = new Map<number, Block>();
    for (const run of coalesce(missing, this.#blocksPerRequest)) {
      const blocks = numbers(run).map((number) =>
        new Block(this.#arena, number, source.lengthOf(number)).pin(),
      );
      const filled = this.#request(source, blocks, admit);
      // The reader of a block hears of its failure; there may be none.
      filled.catch(() => undefined);
      for (const block of blocks) {
        block.filled = filled;
        this.#inFlight.set(nameOf(source, block.number), block);
        fetched.set(block.number, block);
      }
    }
    return fetched;
  }

  /** Fills blocks that are neighbours, and keeps them. Their request's pins are ours. */
  async #request(
    source: BlockSource,
    blocks: readonly Block[],
    admit: (bytes: number) => Promise<void> | undefined,
  ): Promise<void> {
    const bytes = blocks.reduce((sum, { length }) => sum + length, 0);
    const epoch = this.#epochOf(source.volume);
    await admit(bytes);
    try {
      await source.load(
        blocks[0]?.number ?? 0,
        blocks.map((block) => block.bytes),
      );
      if (epoch === this.#epochOf(source.volume)) {
        for (const block of blocks) this.#settled.set(nameOf(source, block.number), block.pin());
      }
    } finally {
      for (const block of blocks) this.#landed(source, block);
      this.#budget.release(source.volume, bytes);
    }
  }

  #landed(source: BlockSource, block: Block): void {
    const name = nameOf(source, block.number);
    if (this.#inFlight.get(name) === block) this.#inFlight.delete(name);
    block.unpin();
  }

  #epochOf(volume: string): number {
    return this.#epochs.get(volume) ?? 0;
  }
}

function copyOut(slices: readonly BlockSlice[], blocks: readonly Block[], length: number): Buffer {
  const copy = Buffer.allocUnsafe(length);
  let at = 0;
  slices.forEach(({ start, end }, index) => {
    at += blocks[index]?.bytes.copy(copy, at, start, end) ?? 0;
  });
  return copy;
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
