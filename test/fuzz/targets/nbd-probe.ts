import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { NbdClient } from '../../../src/attach/connectors/qemu/nbd-client.js';
import { fastClock } from '../../fakes/fast-clock.js';
import { temporaryFolder } from '../../support/temporary.js';
import type { Undo } from '../../support/undo.js';
import { attemptLater, type Run, type Target } from '../target.js';
import { PLAIN, REFUSED, simple, SIZE } from './nbd-answers.js';

/** Whatever an NBD server answers to the client that proves what is connected. */
export const nbdProbe: Target = {
  name: 'nbd-probe',
  seeds: [
    Buffer.concat([PLAIN, simple(0, Buffer.alloc(512, 1)), simple(0, Buffer.alloc(100, 2))]),
    Buffer.concat([PLAIN, simple(0, Buffer.alloc(0), 5), simple(0, Buffer.alloc(100, 2))]),
    REFUSED,
  ],
  open,
};

async function open(undo: Undo): Promise<Run> {
  const socket = path.join(await temporaryFolder(undo), 'nbd.sock');
  const patience = { clock: fastClock(100), ms: 10_000 };
  const peers = new Set<Socket>();
  let answers = Buffer.alloc(0);
  const server = createServer((peer) => {
    peers.add(peer);
    peer.on('error', () => undefined).on('close', () => peers.delete(peer));
    peer.resume().end(answers);
  });
  server.listen(socket);
  await once(server, 'listening');
  undo.after(() => new Promise((resolve) => server.close(resolve)));
  return async (input) => {
    answers = Buffer.from(input);
    const client = await attemptLater(() => NbdClient.connect(socket, '', patience));
    try {
      if (client !== undefined && !(client.size >= 0 && client.size <= 2 ** 64))
        throw new Error(`${client.size} bytes`);
      for (const length of [512, 100]) {
        const bytes =
          client === undefined ? undefined : await attemptLater(() => client.read(SIZE - length, length));
        if (bytes !== undefined && bytes.length !== length)
          throw new Error(`${bytes.length} bytes, not ${length}`);
      }
    } finally {
      client?.close();
      await client?.ended;
      while (peers.size > 0) await turn();
    }
  };
}
