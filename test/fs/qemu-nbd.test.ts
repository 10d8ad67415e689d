import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import { CinderfsError } from '../../src/errors.js';
import { BlockCache } from '../../src/sources/cache/block-cache.js';
import { openNbdReader } from '../../src/sources/nbd/nbd-reader.js';
import type { NbdReaderOptions } from '../../src/sources/nbd/nbd-reader.js';
import type { Cursor, SourceReader } from '../../src/sources/contract/reader.js';
import { undoneAfter } from '../conformance/world.js';
import type { Undo } from '../conformance/world.js';
import { ManualClock } from '../fakes/manual-clock.js';
import { QemuNbd } from '../support/qemu-nbd.js';
import { someBytes } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';

const MIB = 1 << 20;
const SIZE = 24 * MIB + 12_345;
/** 8 MiB data, 8 MiB hole, data to the end. */
const HEAD = someBytes(8 * MIB);
const TAIL = someBytes(SIZE - 16 * MIB);
const NOBODY = new AbortController().signal;

/** A file that is longer than the image. */
async function fill(volume: string): Promise<void> {
  const file = await open(volume, 'w');
  await file.write(HEAD, 0, HEAD.length, 0);
  await file.write(TAIL, 0, TAIL.length, 16 * MIB);
  await file.truncate(SIZE + 5 * MIB);
  await file.close();
}

interface Setup {
  readonly undo: Undo;
  readonly qemu: QemuNbd;
  readonly reader: SourceReader;
  readonly cursor: Cursor;
}

async function setup(t: TestContext, options: Partial<NbdReaderOptions> = {}): Promise<Setup> {
  const undo = undoneAfter(t);
  const dir = await temporaryFolder(undo);
  const volume = path.join(dir, 'volume');
  await fill(volume);
  const qemu = new QemuNbd(path.join(dir, 'nbd.sock'), volume);
  await qemu.start(undo);
  const reader = await openNbdReader(
    { socket: qemu.socket, exportName: '' },
    {
      clock: systemClock,
      requestMs: 20_000,
      connections: 4,
      volume: 'volume',
      size: SIZE,
      cache: new BlockCache({ bytes: 16 * MIB, blockSize: MIB, requestBytes: 8 * MIB }),
      readAheadBytes: 8 * MIB,
      ...options,
    },
  );
  undo.after(() => reader.close());
  return { undo, qemu, reader, cursor: reader.cursor() };
}

const IMAGE = Buffer.concat([HEAD, Buffer.alloc(8 * MIB), TAIL]);

async function readAll(cursor: Cursor, step: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let offset = 0; offset < SIZE; offset += step) {
    parts.push(await cursor.read(offset, Math.min(step, SIZE - offset), NOBODY));
  }
  return Buffer.concat(parts);
}

describe('reading from qemu-nbd', () => {
  it('gives the bytes of the image, in sequence and in parallel at random', async (t) => {
    const { reader, cursor } = await setup(t);
    assert.ok((await readAll(cursor, 128 << 10)).equals(IMAGE));
    const reads = Array.from({ length: 200 }, async (_, index) => {
      const offset = (index * 7_654_321) % (SIZE - 70_000);
      const length = 1 + ((index * 997) % 69_999);
      const bytes = await reader.cursor().read(offset, length, NOBODY);
      assert.ok(bytes.equals(IMAGE.subarray(offset, offset + length)), `${length} at ${offset}`);
    });
    await Promise.all(reads);
  });

  it('knows where the hole is', async (t) => {
    const { reader } = await setup(t);
    assert.equal(await reader.seek(0, 'data', NOBODY), 0);
    assert.equal(await reader.seek(100, 'hole', NOBODY), 8 * MIB);
    assert.equal(await reader.seek(8 * MIB, 'data', NOBODY), 16 * MIB);
    assert.equal(await reader.seek(17 * MIB, 'hole', NOBODY), SIZE);
  });

  it('gives up a qemu-nbd that was stopped (SIGSTOP) at the deadline, and reads on when it continues', async (t) => {
    const clock = new ManualClock();
    const { qemu, cursor, reader } = await setup(t, { clock });
    assert.equal((await cursor.read(0, 4096, NOBODY)).compare(IMAGE, 0, 4096), 0);
    qemu.signal('SIGSTOP');
    const timedOut = (error: unknown): boolean => CinderfsError.is(error) && error.errno === 'ETIMEDOUT';
    const ended = assert.rejects(cursor.read(5 * MIB, 4096, NOBODY), timedOut);
    await clock.advance(20_000);
    await ended;
    qemu.signal('SIGCONT');
    assert.ok((await readAll(cursor, MIB)).equals(IMAGE));
    assert.equal(reader.broken, false);
  });

  it('reads on when qemu-nbd is killed and another takes its place', async (t) => {
    const { undo, qemu, cursor, reader } = await setup(t);
    await cursor.read(0, MIB, NOBODY);
    await qemu.stop();
    const reading = readAll(cursor, 700_000);
    await qemu.start(undo);
    assert.ok((await reading).equals(IMAGE));
    assert.equal(reader.broken, false);
  });

  it('says EIO, and that the source is broken, when qemu-nbd is killed and stays away', async (t) => {
    const clock = new ManualClock();
    const { qemu, cursor, reader } = await setup(t, { clock });
    await qemu.stop();
    let over = false as boolean;
    const reading = cursor.read(0, 4096, NOBODY).finally(() => (over = true));
    const ended = assert.rejects(reading, (error: unknown) => {
      assert.ok(CinderfsError.is(error));
      assert.deepEqual([error.errno, error.code], ['EIO', 'read_failed']);
      assert.match(error.message, /is away/);
      return true;
    });
    while (!over) await clock.advance(100);
    await ended;
    assert.equal(reader.broken, true);
  });
});
