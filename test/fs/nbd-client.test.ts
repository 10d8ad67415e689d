import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import { systemClock } from '../../src/async/clock.js';
import { CinderfsError } from '../../src/errors.js';
import { NbdClient } from '../../src/nbd/client.js';
import type { NbdClientOptions } from '../../src/nbd/client.js';
import { seekInExtents } from '../../src/nbd/seek.js';
import { ManualClock } from '../fakes/manual-clock.js';
import { FakeNbdServer } from '../fakes/fs-nbd-server.js';
import type { FakeNbdOptions } from '../fakes/fs-nbd-server.js';
import { undoneAfter } from '../conformance/world.js';
import { assertProperty } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';

const KIB = 1024;
/** Data, a hole, data again: enough for several stretches. */
const DATA = Buffer.concat([
  Buffer.from(Array.from({ length: 40 * KIB }, (_, index) => (index * 7 + (index >> 8)) % 251)),
  Buffer.alloc(64 * KIB),
  Buffer.alloc(96 * KIB + 5, 'tail'),
]);

interface Setup {
  readonly server: FakeNbdServer;
  readonly client: NbdClient;
  readonly read: (offset: number, length: number) => Promise<Buffer>;
}

async function setup(
  t: TestContext,
  serverOptions: Partial<FakeNbdOptions> = {},
  clientOptions: Partial<NbdClientOptions> = {},
): Promise<Setup> {
  const undo = undoneAfter(t);
  const socket = path.join(await temporaryFolder(undo), 'nbd.sock');
  const server = await FakeNbdServer.listen({ socket, data: DATA, ...serverOptions });
  undo.after(() => server.close());
  const client = await NbdClient.open(
    { socket, exportName: '' },
    { clock: systemClock, requestMs: 5000, connections: 4, ...clientOptions },
  );
  undo.after(() => client.close());
  const read = async (offset: number, length: number): Promise<Buffer> => {
    const buffer = Buffer.alloc(length, 0xee);
    await client.read(offset, [buffer]);
    return buffer;
  };
  return { server, client, read };
}

describe('the NBD client', () => {
  for (const [what, options] of Object.entries({
    'structured replies': {},
    'simple replies': { structured: false },
    'a server without NBD_OPT_GO': { go: false },
    'a server that is not fixed newstyle': { fixedNewstyle: false, structured: false },
  })) {
    it(`reads exactly the bytes asked for: ${what}`, async (t) => {
      const { client, read } = await setup(t, options);
      assert.equal(client.export?.size, DATA.length);
      const range = fc.tuple(fc.nat({ max: DATA.length - 1 }), fc.integer({ min: 1, max: DATA.length }));
      await assertProperty(
        fc.asyncProperty(fc.array(range, { maxLength: 12 }), async (ranges) => {
          const reads = ranges.map(async ([offset, wanted]) => {
            const length = Math.min(wanted, DATA.length - offset);
            assert.ok((await read(offset, length)).equals(DATA.subarray(offset, offset + length)));
          });
          await Promise.all(reads);
        }),
        { numRuns: 40 },
      );
    });
  }

  it('scatters one read over several buffers', async (t) => {
    const { client } = await setup(t);
    const buffers = [Buffer.alloc(30 * KIB), Buffer.alloc(30 * KIB), Buffer.alloc(7)];
    await client.read(20 * KIB, buffers);
    assert.ok(Buffer.concat(buffers).equals(DATA.subarray(20 * KIB, 80 * KIB + 7)));
  });

  it('spreads parallel reads over its connections and not more', async (t) => {
    const { server, read } = await setup(t, {}, { connections: 3 });
    server.verdict = () => 'hold';
    const reads: Promise<Buffer>[] = [];
    await until(() => {
      reads.push(read(0, 4096));
      return server.connections === 3;
    });
    reads.push(...Array.from({ length: 20 }, () => read(0, 4096)));
    await until(() => server.held === reads.length);
    server.letGo();
    await Promise.all(reads);
    assert.equal(server.connections, 3);
  });

  it('is content with one connection where the server takes no more', async (t) => {
    const clock = new ManualClock();
    const { server, read } = await setup(t, { connections: 1 }, { clock });
    const reads = Array.from({ length: 50 }, (_, index) => read(index, 100));
    for (const [index, bytes] of (await Promise.all(reads)).entries()) {
      assert.ok(bytes.equals(DATA.subarray(index, index + 100)));
    }
    await until(() => server.connections === 2);
    await clock.advance(5000);
    await until(() => server.connections === 1);
    assert.ok((await read(7, 100)).equals(DATA.subarray(7, 107)));
  });

  it('answers a server error with EIO, and does not ask again', async (t) => {
    const { server, read } = await setup(t);
    server.verdict = () => 5;
    await assert.rejects(read(0, 10), failure('read_failed', /EIO/));
    assert.equal(server.reads.length, 1);
    server.verdict = () => 'answer';
    assert.ok((await read(0, 10)).equals(DATA.subarray(0, 10)));
  });

  it('does not take an answer with bytes missing for the data', async (t) => {
    const { server, read } = await setup(t);
    server.verdict = () => 'short';
    await assert.rejects(read(0, 100), failure('read_failed', /left bytes out/));
  });

  it('sends a read again when its connection is lost', async (t) => {
    const { server, client, read } = await setup(t);
    let drops = 2;
    server.verdict = () => (drops-- > 0 ? 'drop' : 'answer');
    assert.ok((await read(0, 100)).equals(DATA.subarray(0, 100)));
    assert.equal(client.broken, false);
  });

  it('gives a server that does not answer its deadline, and works again when that server does', async (t) => {
    const clock = new ManualClock();
    const { server, read } = await setup(t, {}, { clock });
    server.verdict = () => 'hold';
    const ended = assert.rejects(read(0, 100), failure('read_timeout', /5000 ms/));
    await until(() => server.held === 1);
    await clock.advance(5000);
    await ended;
    server.letGo();
    assert.ok((await read(0, 100)).equals(DATA.subarray(0, 100)));
  });

  it('fails to open at once where nobody listens', async (t) => {
    const socket = path.join(await temporaryFolder(t), 'nbd.sock');
    const options = { clock: systemClock, requestMs: 5000, connections: 4 };
    const opening = NbdClient.open({ socket, exportName: '' }, options);
    await assert.rejects(opening, failure('read_failed', /ENOENT/));
  });

  it('finds data and holes by block status', async (t) => {
    const { client } = await setup(t);
    const seek = (offset: number, whence: 'data' | 'hole'): Promise<number> =>
      seekInExtents(client, { offset, whence, end: DATA.length, alignment: 4096 });
    assert.equal(await seek(5, 'data'), 5);
    assert.equal(await seek(5, 'hole'), 40 * KIB);
    assert.equal(await seek(41 * KIB, 'hole'), 41 * KIB);
    assert.equal(await seek(41 * KIB + 1, 'data'), 104 * KIB);
    assert.equal(await seek(DATA.length - 1, 'hole'), DATA.length);
  });

  it('takes everything for data where the server has no block status', async (t) => {
    const { client } = await setup(t, { structured: false });
    const seek = { offset: 5, end: DATA.length, alignment: 4096 };
    assert.equal(await seekInExtents(client, { ...seek, whence: 'data' }), 5);
    assert.equal(await seekInExtents(client, { ...seek, whence: 'hole' }), DATA.length);
  });
});

function failure(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => CinderfsError.is(error) && error.code === code && message.test(error.message);
}

/** Until both ends, which are in this process, have done what they can do. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(setImmediate);
}
