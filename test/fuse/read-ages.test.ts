import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ReadAges } from '../../src/fs/fuse/recovery/read-ages.js';
import { ManualClock } from '../fakes/manual-clock.js';

const READ = { pid: 7, fh: 3, uncached: false };

describe('the age of a read', () => {
  it('counts from the first time that the kernel asked, once', async () => {
    const clock = new ManualClock();
    const ages = new ReadAges(clock);
    await clock.advance(5000);
    ages.expired(READ, 0);
    await clock.advance(10);
    assert.equal(ages.sinceOf(READ, 5010), 0, 'the second try of the kernel');
    assert.equal(ages.sinceOf(READ, 5020), 5020, 'a read of its own');
  });

  it('is its own for another thread, another file, O_DIRECT, and later', async () => {
    const clock = new ManualClock();
    const ages = new ReadAges(clock);
    ages.expired(READ, 0);
    ages.expired({ ...READ, uncached: true }, 0);
    for (const other of [{ pid: 8 }, { fh: 4 }, { uncached: true }])
      assert.equal(ages.sinceOf({ ...READ, ...other }, 10), 10, JSON.stringify(other));
    await clock.advance(1500);
    assert.equal(ages.sinceOf(READ, 1500), 1500);
  });
});
