import path from 'node:path';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { systemCalls } from '../../../src/sys/calls/system-calls.js';
import { BlockingConnection } from '../../../src/nbd/blocking-connection.js';
import { temporaryFolder } from '../../support/temporary.js';
import type { Undo } from '../../support/undo.js';
import { allow, type Run, type Target } from '../target.js';
import { handshake, OLD, REFUSED, simple } from './nbd-answers.js';

const AT = 4096;
const MOST_BLOCK = 64 * 1024;

/** Whatever an NBD server answers to a worker, which blocks until it has its answer. */
export const nbdBlocking: Target = {
  name: 'nbd-blocking',
  seeds: [
    Buffer.concat([handshake(false), simple(1, Buffer.alloc(4608, 1)), simple(2, Buffer.alloc(512, 2))]),
    Buffer.concat([handshake(false), simple(1, Buffer.alloc(0), 5), simple(2, Buffer.alloc(512, 2))]),
    Buffer.concat([OLD, simple(1, Buffer.alloc(4196, 1))]),
    REFUSED,
  ],
  words: [],
  open,
};

async function open(undo: Undo): Promise<Run> {
  const calls = systemCalls();
  if (calls === undefined) throw new Error('koffi is a dependency of this target');
  const socket = path.join(await temporaryFolder(undo), 'nbd.sock');
  const server = new Worker(fileURLToPath(new URL('nbd-server-thread.js', import.meta.url)), {
    workerData: socket,
  });
  undo.after(() => server.terminate());
  await once(server, 'message');
  const memory = Buffer.alloc(AT + MOST_BLOCK * 3);
  return async (input) => {
    const ready = once(server, 'message');
    server.postMessage(input);
    await ready;
    const fd = calls.connectUnix(socket);
    try {
      read(fd, memory);
    } catch (error) {
      // The server had hung up when we asked.
      if (!['EPIPE', 'ECONNRESET'].includes((error as NodeJS.ErrnoException).code ?? '')) allow(error);
    } finally {
      calls.closeSocket(fd);
    }
  };
}

function read(fd: number, memory: Buffer): void {
  const connection = new BlockingConnection(fd, '');
  const { alignment } = connection;
  if (
    !Number.isSafeInteger(alignment) ||
    alignment < 1 ||
    (alignment & (alignment - 1)) !== 0 ||
    alignment > MOST_BLOCK
  )
    throw new Error(`blocks of ${alignment} bytes`);
  for (const [offset, length] of [
    [100, 4096],
    [0, 100],
  ] as const) {
    const start = connection.read(memory, AT, offset, length);
    if (!(start >= AT && start + length <= memory.length)) throw new Error(`the data begins at ${start}`);
  }
}
