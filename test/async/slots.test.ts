import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Slots } from '../../src/async/slots.js';

const FOREVER = new AbortController().signal;

/** Work that ends when the test says so. */
function stuck(): { work: () => Promise<string>; end: () => void } {
  let end = (): void => undefined;
  const done = new Promise<string>((resolve) => (end = () => resolve('done')));
  return { work: () => done, end: () => end() };
}

describe('slots', () => {
  it('run as many at a time as there are, the rest in order', async () => {
    const slots = new Slots(2);
    const order: number[] = [];
    const jobs = [stuck(), stuck(), stuck(), stuck()];
    const runs = jobs.map(({ work }, index) =>
      slots.run(() => {
        order.push(index);
        return work();
      }, FOREVER),
    );
    await Promise.resolve();
    assert.deepEqual([order, slots.running, slots.waiting], [[0, 1], 2, 2]);
    jobs.forEach(({ end }) => end());
    await Promise.all(runs);
    assert.deepEqual([order, slots.running, slots.waiting], [[0, 1, 2, 3], 0, 0]);
  });

  it('let a waiter leave the queue with the reason it was given', async () => {
    const slots = new Slots(1);
    const hung = stuck();
    const holding = slots.run(hung.work, FOREVER);
    const leaving = new AbortController();
    const waiting = slots.run(() => Promise.resolve('never'), leaving.signal);
    leaving.abort(new Error('deadline'));
    await assert.rejects(waiting, /deadline/);
    assert.deepEqual([slots.running, slots.waiting], [1, 0]);
    hung.end();
    await holding;
    assert.equal(slots.running, 0);
  });

  it('give a slot back when its work fails', async () => {
    const slots = new Slots(1);
    await assert.rejects(
      slots.run(() => Promise.reject(new Error('no')), FOREVER),
      /no/,
    );
    assert.equal(await slots.run(() => Promise.resolve('yes'), FOREVER), 'yes');
  });
});
