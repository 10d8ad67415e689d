import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CrashBudget } from '../../src/fs/fuse/pool/crash-budget.js';
import { ManualClock } from '../fakes/manual-clock.js';

describe('the crash budget', () => {
  it('bears any number of crashes now and then', async () => {
    const clock = new ManualClock();
    const budget = new CrashBudget({ clock, limit: 3, forgiveMs: 60_000 });
    for (let crash = 0; crash < 100; crash += 1) {
      assert.equal(budget.spend(), true, `crash ${crash}`);
      await clock.advance(60_000);
    }
  });

  it('is used up by as many and one at once, and grows back', async () => {
    const clock = new ManualClock();
    const budget = new CrashBudget({ clock, limit: 3, forgiveMs: 60_000 });
    assert.deepEqual(
      [1, 2, 3, 4].map(() => budget.spend()),
      [true, true, true, false],
    );
    await clock.advance(120_000);
    assert.equal(budget.spend(), true);
  });
});
