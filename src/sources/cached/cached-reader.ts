/** Reads an image that no page cache of the host keeps: through the block cache, ahead of sequential readers, in pieces for random ones. */
import { CinderfsError } from '../../errors.js';
import type { BlockCache, BlockSource } from '../cache/block-cache.js';
import { alignDown, alignUp } from '../../alignment.js';
import { blockLength, blocksCovering } from '../cache/blocks.js';
import { PieceCounter } from '../cache/piece-counter.js';
import type { Cursor, SourceReader } from '../contract/reader.js';
import { Sequence } from '../cache/sequence.js';

/** A source that is reached over the network or a socket. */
export interface RemoteSource {
  /** Bytes; it may be longer than the image. */
  readonly size: number;
  /** Reads begin and end at multiples of this. */
  readonly alignment: number;
  readonly broken: boolean;
  /** Fills `buffers` (all but the last of one size), one after the other, from `offset` on. */
  read(offset: number, buffers: readonly Buffer[]): Promise<void>;
  /** Next data or hole at or after `offset`; the end of the image or beyond it when there is none. */
  seek(offset: number, whence: 'data' | 'hole'): Promise<number>;
  close(): void;
}

export interface CachedReaderOptions {
  /** Names the volume's blocks in the cache. */
  readonly volume: string;
  /** Bytes of the image. */
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

/** Throws CinderfsError `read_failed`, and closes the source, when that is shorter than the image. */
export function cachedReader(source: RemoteSource, options: CachedReaderOptions): SourceReader {
  if (source.size >= options.size) return new CachedReader(source, options);
  source.close();
  throw new CinderfsError('read_failed', `the source has ${source.size} bytes, the image ${options.size}`);
}

class CachedReader implements SourceReader, BlockSource {
  readonly volume: string;
  readonly size: number;
  readonly #source: RemoteSource;
  readonly #options: CachedReaderOptions;
  readonly #alignment: number;
  /** Where the last block ends: the image's size as the source's alignment has it. Nothing behind `size` is served. */
  readonly #end: number;
  readonly #pieces = new PieceCounter();

  constructor(source: RemoteSource, options: CachedReaderOptions) {
    this.volume = options.volume;
    this.size = options.size;
    this.#source = source;
    this.#options = options;
    this.#alignment = Math.max(PIECE_ALIGNMENT, source.alignment);
    this.#end = Math.min(source.size, alignUp(options.size, this.#alignment));
  }

  get broken(): boolean {
    return this.#source.broken;
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
    return this.#source.seek(offset, whence);
  }

  close(): void {
    this.#source.close();
  }

  lengthOf(block: number): number {
    return blockLength(block, this.#options.cache.blockSize, this.#end);
  }

  async load(first: number, buffers: readonly Buffer[]): Promise<void> {
    await this.#source.read(first * this.#options.cache.blockSize, buffers);
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
    await this.#source.read(from, [piece]);
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
