import assert from 'node:assert/strict';
import { CinderfsError, type ErrorCode } from '../../src/errors.js';
import type { AttachWorld } from '../fakes/attach-world.js';
import type { Call, Fault } from '../fakes/simulated-cinder.js';

export const timeout = (): Fault => ({ lose: new CinderfsError('http_timeout', 'no answer in time') });
export const broken = (): Fault => ({
  refuse: new CinderfsError('http_failed', 'the driver failed', { status: 500, requestId: 'req-1' }),
});

/** A fault for the first call of a kind. */
export function once(world: AttachWorld, kind: Call, fault: Fault): void {
  let left = 1;
  world.cinder.gate = (call) => Promise.resolve(call === kind && left-- > 0 ? fault : undefined);
}

/** The error of `work`, which must be of that code. */
export async function rejectsWith(code: ErrorCode, work: Promise<unknown>): Promise<CinderfsError> {
  const error = await work.then(
    () => assert.fail(`expected ${code}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(CinderfsError.is(error), String(error));
  assert.equal(error.code, code, error.toLine());
  return error;
}

/** How often Cinder was called so. */
export function count(world: AttachWorld, call: Call): number {
  return world.cinder.calls.filter((made) => made === call).length;
}
