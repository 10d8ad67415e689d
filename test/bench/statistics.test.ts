import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { median, summarize } from '../../bench/statistics.js';
import { assertProperty } from '../support/seeds.js';

describe('median', () => {
  it('is the middle of an odd number of values, whatever their order', () => {
    assert.equal(median([9, 1, 5]), 5);
  });

  it('is the mean of the two in the middle of an even number', () => {
    assert.equal(median([1, 10, 2, 4]), 3);
  });

  it('sorts numbers as numbers', () => {
    assert.equal(median([100, 20, 3]), 20);
  });

  it('is not moved by one wild value among five', () => {
    assert.equal(median([10, 11, 12, 13, 1e9]), 12);
  });

  it('has no value for nothing, and none for what is not a number', () => {
    assert.throws(() => median([]), RangeError);
    assert.throws(() => median([1, NaN]), RangeError);
  });

  it('has at most half of the values on either side', () => {
    assertProperty(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), (values) => {
        const middle = median(values);
        const below = values.filter((value) => value < middle).length;
        const above = values.filter((value) => value > middle).length;
        assert.ok(below <= values.length / 2 && above <= values.length / 2);
      }),
    );
  });

  it('leaves its argument as it was', () => {
    const values = [3, 1, 2];
    median(values);
    assert.deepEqual(values, [3, 1, 2]);
  });
});

describe('summarize', () => {
  it('gives the extremes too', () => {
    assert.deepEqual(summarize([4, 2, 8]), { median: 4, min: 2, max: 8 });
  });
});
