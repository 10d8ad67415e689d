import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { alignDown, alignUp } from '../../src/alignment.js';
import { blockLength, blocksCovering, coalesce, slicesOf } from '../../src/sources/cache/blocks.js';
import { assertProperty } from '../support/seeds.js';

const DATA = Buffer.from('0123456789abcdefghijklmnopqrstuvwxyz');
const offset = fc.integer({ min: 0, max: 2 ** 53 - 2 ** 40 });
const alignment = fc.integer({ min: 0, max: 30 }).map((power) => 2 ** power);

describe('block arithmetic', () => {
  it('reads the file back whole for every block size and every read size', () => {
    for (let blockSize = 1; blockSize <= DATA.length + 1; blockSize += 1) {
      for (let step = 1; step <= DATA.length; step += 1) {
        const parts: Buffer[] = [];
        for (let at = 0; at < DATA.length; at += step) {
          parts.push(readBySlices(at, Math.min(step, DATA.length - at), blockSize));
        }
        assert.deepEqual(Buffer.concat(parts), DATA, `blocks of ${blockSize}, reads of ${step}`);
      }
    }
  });

  it('cuts a range into slices that lie in their blocks and touch each other', () => {
    const length = fc.integer({ min: 1, max: 1 << 16 });
    const blockSize = fc.integer({ min: 64, max: 1 << 20 });
    assertProperty(
      fc.property(offset, length, blockSize, (start, bytes, size) => {
        const slices = slicesOf(start, bytes, size);
        let at = start;
        for (const slice of slices) {
          assert.equal(slice.block * size + slice.start, at);
          assert.ok(slice.start < slice.end && slice.end <= size);
          at = slice.block * size + slice.end;
        }
        assert.equal(at, start + bytes);
        const { first, count } = blocksCovering(start, bytes, size);
        assert.deepEqual([slices[0]?.block, slices.length], [first, count]);
      }),
    );
  });

  it('aligns to the nearest multiple on either side', () => {
    assertProperty(
      fc.property(offset, alignment, (value, unit) => {
        const down = alignDown(value, unit);
        const up = alignUp(value, unit);
        assert.equal(down % unit, 0);
        assert.equal(up % unit, 0);
        assert.ok(down <= value && value <= up && up - down <= unit);
      }),
    );
  });

  it('coalesces neighbours, and only neighbours, up to the limit', () => {
    const blocks = fc.uniqueArray(fc.integer({ min: 0, max: 50 })).map((list) => list.sort((a, b) => a - b));
    assertProperty(
      fc.property(blocks, fc.integer({ min: 1, max: 9 }), (list, limit) => {
        const runs = coalesce(list, limit);
        const again = runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i));
        assert.deepEqual(again, list);
        assert.ok(runs.every(({ count }) => count <= limit));
      }),
    );
  });

  it('gives whole blocks but for the last', () => {
    assert.deepEqual(
      [0, 1, 2, 3].map((block) => blockLength(block, 10, 25)),
      [10, 10, 5, 0],
    );
  });
});

function readBySlices(at: number, length: number, blockSize: number): Buffer {
  const block = (number: number): Buffer => DATA.subarray(number * blockSize, (number + 1) * blockSize);
  return Buffer.concat(
    slicesOf(at, length, blockSize).map(({ block: number, start, end }) =>
      block(number).subarray(start, end),
    ),
  );
}
