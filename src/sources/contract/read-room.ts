import { alignedBuffer, PAGE_SIZE } from '../../sys/aligned-buffer.js';
import { PIECE } from '../cache/pieces.js';

/** Where in the memory of a worker the bytes of a read begin, at the earliest: the page before is for headers. */
export const DATA_AT = PAGE_SIZE;

/** Memory that one worker reads sources into: `longest` bytes of a read, and head and tail of an unaligned one. */
export function readRoom(longest: number): Buffer {
  return alignedBuffer(DATA_AT + longest + 2 * PIECE);
}
