import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../src/async/clock.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

describe('the real clock', () => {
  it('fires after 30 days, not after 24.8', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let fired = false;
    systemClock.after(30 * DAY, () => (fired = true));
    const hours = (count: number): void => {
      for (let left = count; left > 0; left--) t.mock.timers.tick(HOUR);
    };
    hours(30 * 24 - 1);
    assert.equal(fired, false);
    hours(2);
    assert.equal(fired, true);
  });

  it('is cancelled at any time', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let fired = false;
    const cancel = systemClock.after(30 * DAY, () => (fired = true));
    t.mock.timers.tick(25 * DAY);
    cancel();
    t.mock.timers.tick(30 * DAY);
    assert.equal(fired, false);
  });
});
