import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { backoffDelay } from '../../src/async/backoff.js';
import { hedged } from '../../src/async/hedged.js';
import { ManualClock, settle } from '../fakes/manual-clock.js';
import { assertProperty } from '../support/seeds.js';

describe('a back-off', () => {
  it('draws from a window that doubles with each attempt, up to its cap', () => {
    const policy = { baseMs: 100, capMs: 3_000 };
    const highest = Array.from({ length: 7 }, (_, attempt) => backoffDelay(policy, attempt, () => 1));
    assert.deepEqual(highest, [100, 200, 400, 800, 1600, 3000, 3000]);
    assert.equal(
      backoffDelay(policy, 3, () => 0.5),
      400,
    );
    assertProperty(
      fc.property(
        fc.nat(2000),
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        (attempt, drawn) => {
          const ms = backoffDelay(policy, attempt, () => drawn);
          assert.ok(ms >= 0 && ms < policy.capMs);
        },
      ),
    );
  });
});

describe('hedged attempts', () => {
  it('join those under way after each window, and the first that ends gives up the others', async () => {
    const clock = new ManualClock();
    const begun: { at: number; left: number; signal: AbortSignal; end: (value: string) => void }[] = [];
    const result = hedged(
      (left, signal) =>
        new Promise<string>((resolve) => begun.push({ at: clock.now(), left, signal, end: resolve })),
      { clock, everyMs: 100, totalMs: 350 },
    );
    await clock.advance(340);
    assert.deepEqual(
      begun.map(({ at, left }) => [at, left]),
      [
        [0, 350],
        [100, 250],
        [200, 150],
        [300, 50],
      ],
    );
    begun[1]?.end('second');
    assert.equal(await result, 'second');
    assert.ok(begun.every(({ signal }) => signal.aborted));
    await settle();
    assert.equal(clock.pending, 0);
  });

  it('end with the first failure, and begin none after the end of their time', async () => {
    const clock = new ManualClock();
    const fail: ((error: Error) => void)[] = [];
    const result = hedged(() => new Promise<string>((_, reject) => fail.push(reject)), {
      clock,
      everyMs: 100,
      totalMs: 150,
    });
    await clock.advance(200);
    assert.equal(fail.length, 2);
    fail[0]?.(new Error('refused'));
    await assert.rejects(result, /refused/);
    assert.equal(clock.pending, 0);
  });
});
