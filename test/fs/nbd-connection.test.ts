import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import path from 'node:path';
import { it } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import { NbdConnection } from '../../src/nbd/connection.js';
import { data, chunk, handshake, PLAIN, simple, SIZE, WITHOUT_SIZE } from '../fuzz/targets/nbd-answers.js';
import { converse } from '../fuzz/targets/nbd-turns.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

/** A server that says `turns`: the first at once, the next at every request; what it was asked. */
async function serve(t: TestContext, ...turns: readonly Buffer[]): Promise<Served> {
  const undo = new Undo(t);
  const socket = path.join(await temporaryFolder(undo), 'nbd.sock');
  const heard: Buffer[] = [];
  const server = createServer((peer) => {
    peer.on('error', () => undefined).on('data', (bytes) => heard.push(bytes));
    converse(peer, [...turns, Buffer.alloc(0)]);
    undo.after(() => peer.destroy());
  });
  server.listen(socket);
  await once(server, 'listening');
  undo.after(() => server.close());
  const open = async (): Promise<NbdConnection> => {
    const connection = await NbdConnection.open(
      { socket, exportName: '' },
      { clock: systemClock, handshakeMs: 5_000 },
    );
    undo.after(() => connection.close());
    return connection;
  };
  return { open, heard };
}

interface Served {
  readonly open: () => Promise<NbdConnection>;
  readonly heard: readonly Buffer[];
}

it('asks for whole blocks, and hands on what was wanted of them', async (t) => {
  const { open, heard } = await serve(t, handshake(true), chunk(1, 1, 1, data(SIZE - 1024, 1024)));
  const connection = await open();
  assert.equal(connection.export.minimumBlock, 512);
  assert.deepEqual(await connection.readBytes(SIZE - 612, 512), Buffer.alloc(512, 0x5a));
  const request = Buffer.concat(heard).subarray(-28);
  assert.deepEqual([request.readUInt32BE(20), request.readUInt32BE(24)], [SIZE - 1024, 1024]);
});

it('reads nothing behind the end of the export', async (t) => {
  const connection = await (await serve(t, PLAIN)).open();
  await assert.rejects(connection.readBytes(SIZE - 10, 11), {
    code: 'read_failed',
    message: /ends at 262144/,
  });
  assert.equal((await connection.readBytes(SIZE, 0)).length, 0);
});

it('has no export of a server that tells no size of it', async (t) => {
  await assert.rejects((await serve(t, WITHOUT_SIZE)).open(), {
    code: 'read_failed',
    message: /did not tell the size/,
  });
});

it('takes nothing for an answer that came before its question', async (t) => {
  const early = Buffer.concat([PLAIN, simple(1, Buffer.alloc(512, 1))]);
  await assert.rejects((await serve(t, early)).open(), {
    code: 'read_failed',
    message: /sent bytes that were not asked for/,
  });
});

it('tells of the end of the server', async (t) => {
  const connection = await (await serve(t, PLAIN)).open();
  const read = assert.rejects(connection.readBytes(0, 512), { name: 'ConnectionLost' });
  await connection.ended;
  await read;
  assert.equal(connection.lost, true);
});
