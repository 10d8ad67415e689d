import { readSync } from 'node:fs';
import { CinderfsError } from '../../../errors.js';
import type { PageCacheCalls } from '../../../sys/calls/page-cache-calls.js';
import { PIECE } from '../shared/pieces.js';
import { MAX_READ, PAGE_SIZE } from '../protocol/opcodes.js';

/** The part of WebAssembly used here; Node's types leave it to the DOM's. */
declare const WebAssembly: {
  readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer };
};
const WASM_PAGE = 65_536;

/** Room before the data for the reply's header, and for the head and the tail of an unaligned read. */
const ROOM = PAGE_SIZE + MAX_READ + 2 * PIECE;

/**
 * Page-aligned memory, as O_DIRECT needs it: WebAssembly's is, ArrayBuffers are not.
 */
export function alignedBuffer(bytes: number): Buffer {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / WASM_PAGE) });
  return Buffer.from(memory.buffer);
}

/** Reads a source into memory of its own, one range at a time. */
export class AlignedReader {
  /** Bytes [PAGE_SIZE - n, ...) before the data are free for a header: header and data leave in one write. */
  readonly memory = alignedBuffer(ROOM);
  readonly #cached: ReturnType<PageCacheCalls['cachedReads']> | undefined;

  constructor(calls: Pick<PageCacheCalls, 'cachedReads'> | undefined) {
    this.#cached = calls?.cachedReads(this.memory, PAGE_SIZE);
  }

  /**
   * Reads exactly [offset, offset + length) of `fd`, at most MAX_READ bytes, and returns where in `memory` they start.
   *
   * @throws CinderfsError `read_failed` when the source ends early: a short answer would be taken for the end of the
   * image and its rest for zeros. The error of pread(2) passes through.
   */
  read(fd: number, offset: number, length: number): number {
    return this.#read(fd, offset, length, 1);
  }

  /**
   * The same of a device, in pieces at least. Short reads, and those that are not to be cached by the mount, go through the page cache of
   * the host (`cachedFd`), all others past every cache (`directFd`).
   */
  readDevice(directFd: number, cachedFd: number, offset: number, length: number, uncached: boolean): number {
    if (length >= PIECE && !uncached) return this.#read(directFd, offset, length, PAGE_SIZE);
    if (this.#cached?.(cachedFd, offset, length) === length) return PAGE_SIZE;
    return this.#read(cachedFd, offset, length, PIECE);
  }

  /** Reads the aligned range around. */
  #read(fd: number, offset: number, length: number, alignment: number): number {
    const head = offset % alignment;
    const wanted = Math.ceil((head + length) / alignment) * alignment;
    let filled = 0;
    while (filled < head + length) {
      const got = readSync(fd, this.memory, PAGE_SIZE + filled, wanted - filled, offset - head + filled);
      if (got === 0)
        throw new CinderfsError(
          'read_failed',
          `the source ends at ${offset - head + filled}, inside the image`,
        );
      filled += got;
    }
    return PAGE_SIZE + head;
  }
}
