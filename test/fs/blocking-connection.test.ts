import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { CinderfsError } from '../../src/errors.js';
import { systemCalls } from '../../src/sys/calls/system-calls.js';
import { BlockingConnection } from '../../src/nbd/blocking-connection.js';
import { ConnectionLost } from '../../src/nbd/pending.js';
import { undoneAfter } from '../conformance/world.js';
import { QemuNbd } from '../support/qemu-nbd.js';
import { someBytes } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';

const SIZE = (3 << 20) + 1000;
const CONTENT = someBytes(SIZE);
const AT = 4096;

interface Setup {
  readonly qemu: QemuNbd;
  readonly connection: BlockingConnection;
  readonly memory: Buffer;
}

async function setup(t: TestContext, image: (file: string) => string = (file) => file): Promise<Setup> {
  const undo = undoneAfter(t);
  const dir = await temporaryFolder(undo);
  const file = path.join(dir, 'volume');
  await writeFile(file, CONTENT);
  const qemu = new QemuNbd(path.join(dir, 'nbd.sock'), image(file));
  await qemu.start(undo);
  const calls = systemCalls() ?? assert.fail('koffi is a dependency of these tests');
  const socket = calls.connectUnix(qemu.socket);
  undo.after(() => {
    calls.closeSocket(socket);
    return Promise.resolve();
  });
  return { qemu, connection: new BlockingConnection(socket, ''), memory: Buffer.alloc((2 << 20) + 2 * AT) };
}

describe('a blocking NBD connection', () => {
  it('reads any range into the memory it is given, and says where the range starts', async (t) => {
    const { connection, memory } = await setup(t);
    for (const [offset, length] of [
      [0, 1],
      [4095, 2],
      [1 << 20, 1 << 20],
      [12_345, 1 << 20],
      [SIZE - 1, 1],
      [SIZE - 70_001, 70_001],
    ] as const) {
      const start = connection.read(memory, AT, offset, length);
      const want = CONTENT.subarray(offset, offset + length);
      assert.ok(memory.subarray(start, start + length).equals(want), `${length} at ${offset}`);
    }
  });

  it('takes an error of the server for an answer, and goes on', async (t) => {
    const { connection, memory } = await setup(
      t,
      (file) =>
        'driver=raw,file.driver=blkdebug,file.inject-error.0.event=none,file.inject-error.0.iotype=read,' +
        `file.inject-error.0.errno=5,file.inject-error.0.sector=2048,file.image.driver=file,file.image.filename=${file}`,
    );
    const failure = (error: unknown): boolean => CinderfsError.is(error) && error.message.includes('EIO');
    assert.throws(() => connection.read(memory, AT, 1 << 20, 4096), failure);
    const start = connection.read(memory, AT, 0, 4096);
    assert.ok(memory.subarray(start, start + 4096).equals(CONTENT.subarray(0, 4096)));
  });

  it('refuses what is not in the export before it asks', async (t) => {
    const { connection, memory } = await setup(t);
    assert.throws(() => connection.read(memory, AT, 16 << 20, 4096), /the NBD export ends at/);
  });

  it('says that a connection is lost when the server dies', async (t) => {
    const { qemu, connection, memory } = await setup(t);
    await qemu.stop();
    assert.throws(
      () => connection.read(memory, AT, 0, 4096),
      (error: unknown) =>
        error instanceof ConnectionLost || (error as NodeJS.ErrnoException).code === 'EPIPE',
    );
  });
});
