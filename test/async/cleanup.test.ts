import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Cleanup } from '../../src/async/cleanup.js';

describe('Cleanup', () => {
  it('undoes in reverse order and goes on after a failure', async () => {
    const undone: string[] = [];
    const cleanup = new Cleanup();
    cleanup.defer('first', () => undone.push('first'));
    cleanup.defer('second', () => Promise.reject(new Error('stuck')));
    cleanup.defer('third', () => undone.push('third'));
    const failures = await cleanup.run();
    assert.deepEqual(undone, ['third', 'first']);
    assert.deepEqual(
      failures.map(({ what }) => what),
      ['second'],
    );
  });

  it('runs once, however often it is asked', async () => {
    let runs = 0;
    const cleanup = new Cleanup();
    cleanup.defer('it', () => (runs += 1));
    await Promise.all([cleanup.run(), cleanup.run()]);
    await cleanup.run();
    assert.equal(runs, 1);
  });
});
