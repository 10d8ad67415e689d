import { once } from 'node:events';
import { createServer } from 'node:net';
import path from 'node:path';
import { it } from 'node:test';
import assert from 'node:assert/strict';
import { systemClock } from '../../src/async/clock.js';
import { ServerLink } from '../../src/attach/connectors/qemu/server-link.js';
import { PLAIN } from '../fuzz/targets/nbd-answers.js';
import { temporaryFolder } from '../support/temporary.js';
import { every } from '../support/time.js';
import { Undo } from '../support/undo.js';

const PIECE = Buffer.alloc(2 ** 20);
const MOST_PIECES = 200;

it('a server that sends what was not asked for is hung up on', async (t) => {
  const undo = new Undo(t);
  const socket = path.join(await temporaryFolder(undo), 'nbd.sock');
  let sent = 0;
  const server = createServer((peer) => {
    const flood = (): void => {
      while (sent < MOST_PIECES && !peer.destroyed) {
        sent += 1;
        if (!peer.write(PIECE)) {
          peer.once('drain', flood);
          return;
        }
      }
    };
    peer.on('error', () => undefined).resume();
    peer.write(PLAIN);
    peer.once('data', flood);
    undo.after(() => peer.destroy());
  });
  server.listen(socket);
  await once(server, 'listening');
  undo.after(() => server.close());
  const client = await ServerLink.open(
    { kind: 'nbd', socket, exportName: '' },
    { clock: systemClock, ms: 5_000 },
  );
  undo.after(() => client.close());
  const ended = client.ended.then(() => 'hung up on');
  const taken = new Promise((resolve) => {
    undo.after(every(20, () => sent === MOST_PIECES && resolve('heard to the end')));
  });
  assert.equal(await Promise.race([ended, taken]), 'hung up on');
  assert.ok(sent < 20, `${sent} MiB were taken`);
});
