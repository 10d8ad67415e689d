/** Reads an image over NBD: through the block cache, ahead of sequential readers, in pieces for random ones. */
import type { NbdSource } from '../attach/source.js';
import { CinderfsError } from '../errors.js';
import type { BlockCache, BlockSource } from './block-cache.js';
import { alignDown, alignUp, blockLength, blocksCovering } from './blocks.js';
import { NbdClient } from './nbd/client.js';
import type { NbdClientOptions } from './nbd/client.js';
import { seekInExtents } from './nbd/seek.js';
import { PieceCounter } from './piece-counter.js';
import type { Cursor, SourceReader } from './reader.js';
import { Sequence } from './sequence.js';

export interface NbdReaderOptions extends NbdClientOptions {
  /** Names the volume's blocks in the cache. */
  readonly volume: string;
  /** Bytes of the image; the export may be longer. */
  readonly size: number;
  readonly cache: BlockCache;
  /** Bytes to read ahead of a sequential reader at most; 0 for none. */
  readonly readAheadBytes: number;
}

/** Sectors of a page: what random readers ask for, and what caches below us hold. */
const PIECE_ALIGNMENT = 4096;
/** A larger read, or one of a longer sequence, is worth whole blocks. */
const PIECE_BYTES = 64 << 10;
const SEQUENCE_BYTES = 256 << 10;

/** Connects to `source`; `read_failed` when it is not there or shorter than the image. */
export async function openNbdReader(source: NbdSource, options: NbdReaderOptions): Promise<SourceReader> {
  const client = await NbdClient.open(source, options);
  const { size = 0, minimumBlock = 1 } = client.export ?? {};
  if (size >= options.size) return new NbdReader(client, options, size, minimumBlock);
  client.close();
  throw new CinderfsError('read_failed', `the NBD export has ${size} bytes, the image ${options.size}`);
}

class NbdReader implements SourceReader, BlockSource {
  readonly volume: string;
  readonly size: number;
  readonly #client: NbdClient;
  readonly #options: NbdReaderOptions;
  readonly #alignment: number;
  /** Where the last block ends: the image's size as the export's alignment has it. Nothing behind `size` is served. */
  readonly #end: number;
  readonly #pieces = new PieceCounter();

  constructor(client: NbdClient, options: NbdReaderOptions, exportSize: number, minimumBlock: number) {
    this.volume = options.volume;
    this.size = options.size;
    this.#client = client;
    this.#options = options;
    this.#alignment = Math.max(PIECE_ALIGNMENT, minimumBlock);
    this.#end = Math.min(exportSize, alignUp(options.size, this.#alignment));
  }

  get broken(): boolean {
    return this.#client.broken;
  }

  cursor(): Cursor {
    const sequence = new Sequence();
    let readAheadTo = 0;
    let closed = false;
    return {
      read: async (offset, length, signal) => {
        signal.throwIfAborted();
        const streak = sequence.note(offset, length);
        if (this.#wantsPiece(offset, length, streak)) return this.#readPiece(offset, length);
        const data = this.#options.cache.read(this, offset, length);
        if (streak < SEQUENCE_BYTES) readAheadTo = 0;
        else if (!closed) readAheadTo = this.#readAhead(sequence.next, streak, readAheadTo);
        return data;
      },
      close: () => (closed = true),
    };
  }

  async seek(offset: number, whence: 'data' | 'hole'): Promise<number> {
    return seekInExtents(this.#client, { offset, whence, end: this.size, alignment: this.#alignment });
  }

  close(): void {
    this.#client.close();
  }

  lengthOf(block: number): number {
    return blockLength(block, this.#options.cache.blockSize, this.#end);
  }

  async load(first: number, buffers: readonly Buffer[]): Promise<void> {
    await this.#client.read(first * this.#options.cache.blockSize, buffers);
  }

  /** A small read out of sequence, of a block that is neither cached nor worth it yet. */
  #wantsPiece(offset: number, length: number, streak: number): boolean {
    if (length > PIECE_BYTES || streak >= SEQUENCE_BYTES) return false;
    const run = blocksCovering(offset, length, this.#options.cache.blockSize);
    return !this.#options.cache.holds(this, run) && this.#pieces.another(run.first);
  }

  /** Just the pages asked for: a whole block would be 256 times what a random reader wants. */
  async #readPiece(offset: number, length: number): Promise<Buffer> {
    const from = alignDown(offset, this.#alignment);
    const to = Math.min(this.#end, alignUp(offset + length, this.#alignment));
    const piece = Buffer.allocUnsafeSlow(to - from);
    await this.#client.read(from, [piece]);
    return piece.subarray(offset - from, offset - from + length);
  }

  /**
   * Twice what was read in sequence, up to the limit: a short sequence wastes little, a long one keeps the pipe full.
   * Topped up when half of it is used, which also makes the requests large. Answers up to where it is on its way.
   */
  #readAhead(next: number, streak: number, already: number): number {
    const { cache, readAheadBytes } = this.#options;
    const window = Math.min(2 * streak, readAheadBytes);
    const end = Math.min(next + window, this.size);
    if (end <= next || already - next >= window / 2 || already >= end) return already;
    const from = Math.max(next, already);
    return cache.prefetch(this, blocksCovering(from, end - from, cache.blockSize)) ? end : already;
  }
}
