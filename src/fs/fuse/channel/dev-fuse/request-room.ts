import { alignedBuffer } from '../../../../sys/aligned-buffer.js';
import type { SystemCalls } from '../../../../sys/calls/system-calls.js';

/**
 * Memory that the kernel can write a request to at any moment. A process that is killed while a request is on its way
 * to it may not wait for a page any more: the kernel then fails that request with EIO, and no engine that comes after
 * can answer it. So every page is there from the start, and stays writable when this process forks.
 */
export function requestRoom(bytes: number, calls: SystemCalls | undefined): Buffer {
  const memory = alignedBuffer(bytes);
  calls?.keepFromForks(memory);
  return memory.fill(0).subarray(0, bytes);
}
