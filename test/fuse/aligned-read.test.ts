import assert from 'node:assert/strict';
import { open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { it } from 'node:test';
import fc from 'fast-check';
import { CinderfsError } from '../../src/errors.js';
import { AlignedReader } from '../../src/sources/file/aligned-reader.js';
import { systemCalls } from '../../src/sys/calls/system-calls.js';
import { readRoom } from '../../src/sources/contract/read-room.js';
import { MAX_READ } from '../../src/fs/fuse/protocol/opcodes.js';
import { undoneAfter } from '../conformance/world.js';
import { assertProperty, someBytes } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';

/** Ends inside a page and inside a piece. */
const SIZE = 3 * 2 ** 20 + 5000;
const CONTENT = someBytes(SIZE);

const RANGE = fc
  .tuple(
    fc.nat(SIZE - 1),
    fc.oneof(fc.integer({ min: 1, max: 70_000 }), fc.integer({ min: 1, max: MAX_READ })),
  )
  .map(([offset, length]) => ({ offset, length: Math.min(length, SIZE - offset) }));

it('reads any range of a file and of a device, whatever the page cache holds of it', async (t) => {
  const undo = undoneAfter(t);
  const file = path.join(await temporaryFolder(undo), 'source');
  await writeFile(file, CONTENT);
  const handle = await open(file, 'r');
  undo.after(() => handle.close());
  const { fd } = handle;
  const calls = systemCalls() ?? assert.fail('koffi is a dependency of these tests');
  const readers = [
    readerOf(calls),
    readerOf(),
    readerOf({ cachedReads: () => () => -1 }),
    readerOf({ cachedReads: () => (_, __, length) => Math.min(length - 1, 100) }),
  ];
  assertProperty(
    fc.property(
      RANGE,
      fc.constantFrom(...readers),
      fc.boolean(),
      ({ offset, length }, { reader, memory }, uncached) => {
        const want = CONTENT.subarray(offset, offset + length);
        for (const read of [
          () => reader.read(fd, offset, length),
          () => reader.readDevice(fd, fd, offset, length, uncached),
        ]) {
          memory.fill(0);
          const start = read();
          assert.ok(memory.subarray(start, start + length).equals(want), `${length} at ${offset}`);
        }
      },
    ),
    { seed: 1, numRuns: 300 },
  );
  for (const { reader } of readers)
    assert.throws(
      () => reader.readDevice(fd, fd, SIZE - 10, 20, false),
      (error) => CinderfsError.is(error) && error.code === 'read_failed',
    );
});

function readerOf(calls?: ConstructorParameters<typeof AlignedReader>[1]): {
  readonly reader: AlignedReader;
  readonly memory: Buffer;
} {
  const memory = readRoom(MAX_READ);
  return { reader: new AlignedReader(memory, calls), memory };
}
