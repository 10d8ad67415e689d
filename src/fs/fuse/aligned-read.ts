import { readSync } from 'node:fs';
import { CinderfsError } from '../../errors.js';
import { MAX_READ, PAGE_SIZE } from './protocol.js';

/** The part of WebAssembly used here; Node's types leave it to the DOM's. */
declare const WebAssembly: {
  readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer };
};
const WASM_PAGE = 65_536;

/** Room before the data for the reply's header and for the head of an unaligned O_DIRECT read, and a page behind it. */
const ROOM = MAX_READ + 3 * PAGE_SIZE;

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

  /**
   * Reads exactly [offset, offset + length) of `fd`, at most MAX_READ bytes, and returns where in `memory` they start.
   *
   * @throws CinderfsError `read_failed` when the source ends early: a short answer would be taken for the end of the
   * image and its rest for zeros. The error of pread(2) passes through.
   */
  read(fd: number, offset: number, length: number, direct: boolean): number {
    const head = direct ? offset % PAGE_SIZE : 0;
    const wanted = direct ? Math.ceil((head + length) / PAGE_SIZE) * PAGE_SIZE : length;
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
