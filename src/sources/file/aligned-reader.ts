import { readSync } from 'node:fs';
import { CinderfsError } from '../../errors.js';
import { PIECE } from '../cache/pieces.js';
import { DATA_AT } from '../contract/read-room.js';
import { PAGE_SIZE } from '../../sys/aligned-buffer.js';
import type { PageCacheCalls } from '../../sys/calls/page-cache-calls.js';

/** Reads descriptors into the memory of a worker, one range at a time. */
export class AlignedReader {
  readonly #memory: Buffer;
  readonly #cached: ReturnType<PageCacheCalls['cachedReads']> | undefined;

  /** Of `memory`, which is page-aligned (read-room.ts). */
  constructor(memory: Buffer, calls?: Pick<PageCacheCalls, 'cachedReads'>) {
    this.#memory = memory;
    this.#cached = calls?.cachedReads(memory, DATA_AT);
  }

  /**
   * Reads exactly [offset, offset + length) of `fd` and returns where in memory they start.
   *
   * @throws CinderfsError `read_failed` when the source ends early: a short answer would be taken for the end of the
   * image and its rest for zeros. The error of pread(2) passes through.
   */
  read(fd: number, offset: number, length: number): number {
    return this.#read(fd, offset, length, 1);
  }

  /**
   * The same of a device, in pieces at least. Short reads, and those that are not to be cached by the mount, go through
   * the page cache of the host (`cachedFd`), all others past every cache (`directFd`).
   */
  readDevice(directFd: number, cachedFd: number, offset: number, length: number, uncached: boolean): number {
    if (length >= PIECE && !uncached) return this.#read(directFd, offset, length, PAGE_SIZE);
    if (this.#cached?.(cachedFd, offset, length) === length) return DATA_AT;
    return this.#read(cachedFd, offset, length, PIECE);
  }

  /** Reads the aligned range around. */
  #read(fd: number, offset: number, length: number, alignment: number): number {
    const head = offset % alignment;
    const wanted = Math.ceil((head + length) / alignment) * alignment;
    let filled = 0;
    while (filled < head + length) {
      const got = readSync(fd, this.#memory, DATA_AT + filled, wanted - filled, offset - head + filled);
      if (got === 0)
        throw new CinderfsError(
          'read_failed',
          `the source ends at ${offset - head + filled}, inside the image`,
        );
      filled += got;
    }
    return DATA_AT + head;
  }
}
