import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { Ranges } from '../../src/nbd/ranges.js';
import { assertProperty } from '../support/seeds.js';

it('ranges take each byte once', () => {
  const range = fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 20 }));
  assertProperty(
    fc.property(fc.array(range, { maxLength: 40 }), (list) => {
      const ranges = new Ranges();
      const taken = new Set<number>();
      for (const [from, length] of list) {
        const bytes = Array.from({ length }, (_, at) => from + at);
        const free = bytes.every((byte) => !taken.has(byte));
        assert.equal(ranges.add(from, from + length), free, `${from}+${length}`);
        if (free) for (const byte of bytes) taken.add(byte);
      }
    }),
  );
});

it('ranges that never come together are not counted for ever', () => {
  const ranges = new Ranges();
  let added = 0;
  while (added < 100_000 && ranges.add(added * 2, added * 2 + 1)) added += 1;
  assert.equal(added, 4096);
});
