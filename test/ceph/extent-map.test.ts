import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ExtentMap } from '../../src/ceph/extent-map.js';
import type { Extent } from '../../src/ceph/library.js';
import { assertProperty } from '../support/seeds.js';

const OBJECT = 2 ** 32;
const OBJECTS = 12;
const SIZE = OBJECTS * OBJECT - 5;

/** What librbd answers of a range when these objects exist: each by itself, cut at the range. */
function answerOf(objects: readonly boolean[], offset: number, length: number): readonly Extent[] {
  return objects.flatMap((exists, index) => {
    const from = Math.max(offset, index * OBJECT);
    const to = Math.min(offset + length, (index + 1) * OBJECT, SIZE);
    return exists && to > from ? [{ offset: from, length: to - from }] : [];
  });
}

describe('where an RBD image has data', () => {
  it('is found as if it were looked at byte by byte, over the windows it is asked in', async () => {
    const objects = fc.array(fc.boolean(), { minLength: OBJECTS, maxLength: OBJECTS });
    const where = fc.integer({ min: 0, max: OBJECTS - 1 });
    const within = fc.constantFrom(0, 1, OBJECT / 2, OBJECT - 6);
    const whence = fc.constantFrom('data' as const, 'hole' as const);
    await assertProperty(
      fc.asyncProperty(objects, where, within, whence, async (exists, index, rest, wanted) => {
        const map = new ExtentMap(SIZE, (offset, length) =>
          Promise.resolve(answerOf(exists, offset, length)),
        );
        const offset = index * OBJECT + rest;
        const next = exists.findIndex((data, at) => at >= index && data === (wanted === 'data'));
        const expected = next === -1 ? SIZE : Math.max(offset, next * OBJECT);
        assert.equal(await map.next(offset, wanted), expected);
      }),
    );
  });

  it('is asked once', async () => {
    let asked = 0;
    const map = new ExtentMap(SIZE, (offset, length) => {
      asked += 1;
      return Promise.resolve([{ offset, length }]);
    });
    await Promise.all([map.next(0, 'data'), map.next(1, 'data'), map.next(OBJECT, 'data')]);
    assert.equal(asked, 1);
    assert.equal(await map.next(0, 'hole'), SIZE);
    const after = asked;
    assert.equal(await map.next(0, 'hole'), SIZE);
    assert.equal(asked, after);
  });

  it('is asked again when the answer was a failure', async () => {
    const answers = [Promise.reject(new Error('away')), Promise.resolve([])];
    const map = new ExtentMap(100, () => answers.shift() ?? Promise.resolve([]));
    await assert.rejects(map.next(0, 'data'), /away/);
    assert.equal(await map.next(0, 'data'), 100);
  });
});
