import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RbdSource } from '../../src/sources/rbd/rbd-source.js';
import { RbdImages } from '../../src/ceph/rbd-images.js';
import { BlockCache } from '../../src/sources/cache/block-cache.js';
import { openRbdReader } from '../../src/sources/rbd/rbd-reader.js';
import type { SourceReader } from '../../src/sources/contract/reader.js';
import { FakeCeph } from '../fakes/fake-ceph.js';
import { someBytes } from '../support/seeds.js';

const SIZE = 20_000;
const SOURCE: RbdSource = {
  kind: 'rbd',
  address: { cluster: 'ceph', pool: 'volumes', image: 'volume-1' },
  id: 'one',
};

describe('the reader of RBD images', () => {
  const bytes = someBytes(SIZE + 500);
  const never = new AbortController().signal;

  async function opened(size = SIZE): Promise<{ ceph: FakeCeph; images: RbdImages; reader: SourceReader }> {
    const ceph = new FakeCeph();
    const extents = [
      { offset: 0, length: 4096 },
      { offset: 16_384, length: 4116 },
    ];
    ceph.images.set('volume-1', { id: 'one', bytes, extents });
    const images = new RbdImages({ library: () => ceph, timeoutMs: 1_000, slots: 2 });
    const cache = new BlockCache({ bytes: 64 << 10, blockSize: 4096, requestBytes: 8192 });
    const options = { volume: 'volume-1', size, cache, readAheadBytes: 8192 };
    return { ceph, images, reader: await openRbdReader(SOURCE, images, options) };
  }

  it('reads every byte of the image, in any pieces, and finds its holes', async () => {
    const { ceph, images, reader } = await opened();
    const cursor = reader.cursor();
    for (const [offset, length] of [
      [0, SIZE],
      [1, 1],
      [4095, 2],
      [SIZE - 10, 10],
      [5_000, 9_000],
    ] as const)
      assert.deepEqual(await cursor.read(offset, length, never), bytes.subarray(offset, offset + length));
    assert.equal(await reader.seek(0, 'hole', never), 4096);
    assert.equal(await reader.seek(4096, 'data', never), 16_384);
    cursor.close();
    reader.close();
    await images.quiet();
    assert.deepEqual([ceph.handles.size, ceph.clusters.size], [0, 0]);
    assert.deepEqual(ceph.crashes, []);
  });

  it('refuses an image that is shorter than its file, and keeps nothing open', async () => {
    await assert.rejects(opened(SIZE + 501), { code: 'read_failed' });
  });

  it('fails where the image is another one by now', async () => {
    const { images, reader } = await opened();
    await assert.rejects(
      openRbdReader({ ...SOURCE, id: 'other' }, images, {
        volume: 'volume-1',
        size: SIZE,
        cache: new BlockCache({ bytes: 8192, blockSize: 4096, requestBytes: 4096 }),
        readAheadBytes: 0,
      }),
      { code: 'read_failed' },
    );
    reader.close();
    await images.quiet();
  });
});
