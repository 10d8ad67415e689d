import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BlockCache } from '../../src/sources/cache/block-cache.js';
import type { BlockSource } from '../../src/sources/cache/block-cache.js';
import { blockLength } from '../../src/sources/cache/blocks.js';
import { assertProperty } from '../support/seeds.js';

const BLOCK = 10;
const DATA = Buffer.from('the quick brown fox jumps over the lazy dog, twice');

/** A volume in memory that counts its requests, fails when told to and waits for its gate. */
class MemoryVolume implements BlockSource {
  readonly volume: string;
  readonly size = DATA.length;
  readonly requests: [first: number, count: number][] = [];
  failures = 0;
  gate: Promise<void> = Promise.resolve();

  constructor(volume = 'v') {
    this.volume = volume;
  }

  lengthOf(block: number): number {
    return blockLength(block, BLOCK, this.size);
  }

  async load(first: number, buffers: readonly Buffer[]): Promise<void> {
    this.requests.push([first, buffers.length]);
    await this.gate;
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error('no luck');
    }
    let at = first * BLOCK;
    for (const buffer of buffers) at += DATA.copy(buffer, 0, at);
  }
}

const newCache = (bytes = 1000, requestBytes = 40): BlockCache =>
  new BlockCache({ bytes, blockSize: BLOCK, requestBytes });

async function text(cache: BlockCache, volume: BlockSource, first: number, count: number): Promise<string> {
  const offset = first * BLOCK;
  return (await cache.read(volume, offset, Math.min(count * BLOCK, DATA.length - offset))).toString();
}

describe('the block cache', () => {
  it('fetches missing neighbours together, up to the request size, and what it has not again', async () => {
    const [cache, volume] = [newCache(), new MemoryVolume()];
    await text(cache, volume, 1, 1);
    assert.equal(await text(cache, volume, 0, 5), DATA.toString());
    await text(cache, volume, 0, 5);
    assert.deepEqual(volume.requests, [
      [1, 1],
      [0, 1],
      [2, 3],
    ]);
  });

  it('fetches a block once for all who want it at the same time', async () => {
    const [cache, volume] = [newCache(), new MemoryVolume()];
    const reads = await Promise.all(Array.from({ length: 32 }, () => text(cache, volume, 0, 5)));
    assert.ok(reads.every((read) => read === DATA.toString()));
    assert.deepEqual(volume.requests, [
      [0, 4],
      [4, 1],
    ]);
  });

  it('fetches a failed block again', async () => {
    const [cache, volume] = [newCache(), new MemoryVolume()];
    volume.failures = 1;
    await assert.rejects(text(cache, volume, 0, 1), /no luck/);
    assert.equal(await text(cache, volume, 0, 1), DATA.toString('utf8', 0, BLOCK));
    assert.equal(cache.bytes, BLOCK);
  });

  it('serves a slow reader whose block would not fit any more (F5)', async () => {
    const [cache, volume] = [newCache(20), new MemoryVolume()];
    assert.equal(await text(cache, volume, 0, 5), DATA.toString());
    assert.ok(cache.bytes <= 20);
  });

  it('keeps settled blocks and blocks in flight within one budget', async () => {
    const [cache, volume] = [newCache(40, 20), new MemoryVolume()];
    for (let block = 0; block < 5; block += 1) {
      await text(cache, volume, block, 1);
      assert.ok(cache.bytes <= 40, `${cache.bytes} bytes after block ${block}`);
    }
  });

  it('drops what was in flight when the volume is purged, and other volumes not', async () => {
    const cache = newCache();
    const [bad, good] = [new MemoryVolume('bad'), new MemoryVolume('good')];
    let open = (): void => undefined;
    bad.gate = new Promise((resolve) => (open = resolve));
    await text(cache, good, 0, 1);
    const reading = text(cache, bad, 0, 1);
    cache.purge('bad');
    open();
    await reading;
    assert.equal(cache.bytes, BLOCK);
    await text(cache, bad, 0, 1);
    await text(cache, good, 0, 1);
    assert.deepEqual([bad.requests.length, good.requests.length], [2, 1]);
  });

  it('prefetches what is missing, and keeps a failure of it to itself', async () => {
    const [cache, volume] = [newCache(), new MemoryVolume()];
    volume.failures = 1;
    cache.prefetch(volume, { first: 0, count: 2 });
    assert.equal(cache.holds(volume, { first: 0, count: 2 }), true);
    await assert.rejects(text(cache, volume, 0, 1), /no luck/);
    cache.prefetch(volume, { first: 0, count: 2 });
    assert.equal(await text(cache, volume, 0, 2), DATA.toString('utf8', 0, 2 * BLOCK));
    assert.deepEqual(volume.requests, [
      [0, 2],
      [0, 2],
    ]);
  });

  it('reads back the same bytes under any mix of readers, failures, purges and sizes', async () => {
    const step = fc.record({
      first: fc.nat({ max: 4 }),
      count: fc.integer({ min: 1, max: 5 }),
      fail: fc.boolean(),
      purge: fc.boolean(),
      ahead: fc.boolean(),
    });
    await assertProperty(
      fc.asyncProperty(
        fc.array(step),
        fc.integer({ min: 10, max: 80 }),
        fc.integer({ min: 5, max: 60 }),
        async (steps, bytes, requestBytes) => {
          const [cache, volume] = [newCache(bytes, requestBytes), new MemoryVolume()];
          const reads = steps.map(async ({ first, count, fail, purge, ahead }) => {
            if (fail) volume.failures += 1;
            if (purge) cache.purge('v');
            const run = { first, count: Math.min(count, 5 - first) };
            if (ahead) cache.prefetch(volume, run);
            const read = await text(cache, volume, run.first, run.count).catch(() => undefined);
            const expected = DATA.toString('utf8', first * BLOCK, (first + run.count) * BLOCK);
            if (read !== undefined) assert.equal(read, expected);
          });
          await Promise.all(reads);
          volume.failures = 0;
          assert.equal(await text(cache, volume, 0, 5), DATA.toString());
          assert.ok(cache.bytes <= Math.max(bytes, requestBytes));
        },
      ),
    );
  });
});
