import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ReadBudget } from '../../src/sources/cache/read-budget.js';

describe('the read budget', () => {
  it('holds one volume to its own limit', async () => {
    const budget = new ReadBudget({ total: 100, perVolume: 10 });
    await budget.take('a', 6);
    assert.equal(budget.tryTake('a', 6), false);
    const waiting = budget.take('a', 6);
    assert.equal(budget.contended('a'), true);
    budget.release('a', 6);
    await waiting;
    assert.equal(budget.inFlight, 6);
  });

  it('always admits a volume that has nothing in flight, however much others hold', async () => {
    const budget = new ReadBudget({ total: 10, perVolume: 10 });
    await budget.take('hung', 10);
    await budget.take('healthy', 1000);
    assert.equal(budget.inFlight, 1010);
  });

  it('lets nobody wait behind another volume', async () => {
    const budget = new ReadBudget({ total: 20, perVolume: 10 });
    await budget.take('hung', 10);
    await budget.take('b', 5);
    const stuck = budget.take('hung', 1);
    const next = budget.take('b', 8);
    budget.release('b', 5);
    await next;
    assert.equal(budget.contended('hung'), true);
    budget.release('hung', 10);
    await stuck;
    budget.release('hung', 1);
    budget.release('b', 8);
    assert.equal(budget.inFlight, 0);
  });
});
