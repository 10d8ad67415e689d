import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock, type Clock } from '../../src/async/clock.js';
import { withDeadline } from '../../src/async/deadline.js';
import { CinderfsError } from '../../src/errors.js';

/** A clock whose only timer fires when the test says so. */
function heldClock(): Clock & { fire: () => void; readonly armed: boolean } {
  let callback: (() => void) | undefined;
  return {
    now: () => 0,
    wall: () => 0,
    uptime: () => 0,
    after(_ms, then) {
      callback = then;
      return () => (callback = undefined);
    },
    fire: () => callback?.(),
    get armed() {
      return callback !== undefined;
    },
  };
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

const onTimeout = (): CinderfsError => new CinderfsError('attach_timeout', 'too late');

describe('withDeadline', () => {
  it('returns what arrives in time and disarms its timer', async () => {
    const clock = heldClock();
    assert.equal(await withDeadline(Promise.resolve(7), { clock, ms: 5, onTimeout }), 7);
    assert.equal(clock.armed, false);
  });

  it('hands a late result to onLate, exactly once, and not to the waiter', async () => {
    const clock = heldClock();
    const work = deferred<string>();
    const late: string[] = [];
    const wait = withDeadline(work.promise, { clock, ms: 5, onTimeout, onLate: (value) => late.push(value) });
    clock.fire();
    await assert.rejects(wait, { code: 'attach_timeout' });
    work.resolve('attachment');
    await work.promise;
    assert.deepEqual(late, ['attachment']);
  });

  it('lets a waiter leave by its signal, also one that was aborted before', async () => {
    const work = deferred<string>();
    const late: string[] = [];
    const wait = withDeadline(work.promise, {
      clock: systemClock,
      ms: 60_000,
      onTimeout,
      signal: AbortSignal.abort(),
      onLate: (value) => late.push(value),
    });
    await assert.rejects(wait, { code: 'interrupted' });
    work.resolve('late');
    await work.promise;
    assert.deepEqual(late, ['late']);
  });

  it('swallows a failure that nobody waits for any more', async () => {
    const clock = heldClock();
    const work = deferred<string>();
    const wait = withDeadline(work.promise, { clock, ms: 5, onTimeout });
    clock.fire();
    await assert.rejects(wait, { code: 'attach_timeout' });
    work.reject(new Error('nobody listens'));
    await assert.rejects(work.promise);
  });

  it('passes a failure on as it is', async () => {
    const error = new Error('no');
    await assert.rejects(
      withDeadline(Promise.reject(error), { clock: heldClock(), ms: 5, onTimeout }),
      error,
    );
  });
});
