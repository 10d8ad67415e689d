import { readSync } from 'node:fs';
import type { PageReplies, WorkerChannel, WorkerReplies } from '../../src/fs/fuse/channel/worker-channel.js';
import { OPEN_OUT } from '../../src/fs/fuse/protocol/messages.js';
import type { MemoryAnswer, MemoryKernel } from './memory-kernel.js';

/** Shorter answers are not given as pages. */
const SHORTEST = 64 * 1024;

/** A worker's channel to a kernel in memory. `memory`: what sources are read into. */
export function memoryWorkerChannel(kernel: MemoryKernel, memory: Buffer): WorkerChannel {
  const request = kernel.requestRoom();
  return {
    requests: {
      request,
      view: new DataView(request.buffer, request.byteOffset, request.length),
      receive: () => kernel.receiveSync(request),
      done: () => undefined,
      pass: () => undefined,
    },
    replies: repliesTo(kernel, memory),
    pages: pagesTo(kernel),
  };
}

function repliesTo(kernel: MemoryKernel, memory: Buffer): WorkerReplies {
  const reply = (unique: bigint, payload: Buffer): boolean => kernel.take({ unique, payload });
  return {
    send: (unique, start, length) => reply(unique, Buffer.from(memory.subarray(start, start + length))),
    sendNumber(unique, value) {
      const payload = Buffer.alloc(8);
      payload.writeBigUInt64LE(BigInt(value));
      return reply(unique, payload);
    },
    sendOpened: (unique, fh, flags, backingId) =>
      reply(unique, OPEN_OUT.encode({ fh, open_flags: flags, backing_id: backingId })),
    fail: (unique, errno) => kernel.take({ unique, errno }),
  };
}

function pagesTo(kernel: MemoryKernel): PageReplies {
  let held: MemoryAnswer | undefined;
  return {
    fill(unique, fd, offset, length) {
      if (length < SHORTEST) return false;
      const payload = Buffer.alloc(length);
      if (readSync(fd, payload, 0, length, offset) !== length) return false;
      held = { unique, payload, paged: true };
      return true;
    },
    send(length) {
      if (held?.payload?.length !== length) throw new Error('another answer is held');
      kernel.take(held);
      held = undefined;
    },
    discard: () => (held = undefined),
  };
}
