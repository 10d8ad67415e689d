import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Call, Fault } from '../fakes/simulated-cinder.js';
import { AttachWorld } from '../fakes/attach-world.js';
import { settle } from '../fakes/manual-clock.js';
import { CinderfsError, type ErrorCode } from '../../src/errors.js';

const timeout = (): Fault => ({ lose: new CinderfsError('http_timeout', 'no answer in time') });
const broken = (): Fault => ({
  refuse: new CinderfsError('http_failed', 'the driver failed', { status: 500, requestId: 'req-1' }),
});

/** A fault for the first call of a kind. */
function once(world: AttachWorld, kind: Call, fault: Fault): void {
  let left = 1;
  world.cinder.gate = (call) => Promise.resolve(call === kind && left-- > 0 ? fault : undefined);
}

async function rejectsWith(code: ErrorCode, work: Promise<unknown>): Promise<CinderfsError> {
  const error = await work.then(
    () => assert.fail(`expected ${code}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(CinderfsError.is(error), String(error));
  assert.equal(error.code, code, error.toLine());
  return error;
}

function count(world: AttachWorld, call: Call): number {
  return world.cinder.calls.filter((made) => made === call).length;
}

describe('the attachment pool', () => {
  it('shares one attach among all who open a volume at once', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const leases = await Promise.all(Array.from({ length: 64 }, () => world.pool.acquire(image)));
    assert.equal(count(world, 'create'), 1);
    assert.equal(new Set(leases.map(({ attachmentId }) => attachmentId)).size, 1);
    assert.equal(world.pool.report()[0]?.leases, 64);
    assert.equal(world.cinder.volumes.get('v1')?.status, 'in-use');
  });

  it('detaches a lingering volume when its time is over, and not before', async () => {
    const world = new AttachWorld({ lingerMs: 60_000 });
    const lease = await world.pool.acquire(world.addImage('v1'));
    lease.release();
    assert.equal(world.pool.report()[0]?.state, 'lingering');
    await world.clock.advance(59_999);
    assert.equal(world.pool.report()[0]?.lingerLeftMs, 1);
    assert.equal(count(world, 'delete'), 0);
    await world.clock.advance(1);
    assert.deepEqual(world.pool.report(), []);
    assert.deepEqual(world.leftovers(), []);
    assert.equal(world.clock.pending, 0);
  });

  it('detaches a volume that is not multiattach at its last close', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1', { multiattach: false });
    const [first, second] = await Promise.all([world.pool.acquire(image), world.pool.acquire(image)]);
    first.release();
    await settle();
    assert.equal(world.cinder.volumes.get('v1')?.status, 'in-use');
    second.release();
    await world.pool.quiet();
    assert.deepEqual(world.leftovers(), []);
    assert.equal(world.cinder.volumes.get('v1')?.status, 'available');
  });

  it('counts a lease that is released twice once', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const first = await world.pool.acquire(image);
    const second = await world.pool.acquire(image);
    first.release();
    first.release();
    assert.equal(world.pool.report()[0]?.state, 'attached');
    second.release();
    assert.equal(world.pool.report()[0]?.state, 'lingering');
  });

  it('reuses a lingering attachment without asking Cinder for a new one', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    (await world.pool.acquire(image)).release();
    await world.clock.advance(30_000);
    const again = await world.pool.acquire(image);
    await world.clock.advance(60_000);
    assert.equal(world.pool.report()[0]?.state, 'attached');
    assert.equal(count(world, 'create'), 1);
    again.release();
  });

  it('lets an open during a detach wait for its end and attach anew', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1', { multiattach: false });
    const first = await world.pool.acquire(image);
    first.release();
    assert.equal(world.pool.report()[0]?.state, 'detaching');
    const second = await world.pool.acquire(image);
    assert.notEqual(second.attachmentId, first.attachmentId);
    assert.equal(world.host.devices.size, 1);
    second.release();
    await world.pool.quiet();
    assert.deepEqual(world.leftovers(), []);
  });

  it('keeps an attachment that arrives after its opener gave up, and lets it linger', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const caller = new AbortController();
    const opening = world.pool.acquire(image, { signal: caller.signal });
    caller.abort();
    await rejectsWith('interrupted', opening);
    await settle();
    assert.equal(world.pool.report()[0]?.state, 'lingering');
    await world.clock.advance(60_000);
    assert.deepEqual(world.leftovers(), []);
  });

  it('stops waiting at the deadline with attach_timeout', async () => {
    const world = new AttachWorld({ openMs: 5_000 });
    const image = world.addImage('v1');
    world.cinder.gate = (call) =>
      call === 'update' ? new Promise(() => undefined) : Promise.resolve(undefined);
    const opening = rejectsWith('attach_timeout', world.pool.acquire(image));
    await world.clock.advance(5_000);
    assert.match((await opening).message, /v1/);
    assert.match(world.pool.lastError(image.id) ?? '', /not attached in time/);
  });

  it('completes a multiattach volume before the host work, any other after the proof', async () => {
    for (const multiattach of [true, false]) {
      const world = new AttachWorld();
      const order: string[] = [];
      world.cinder.gate = (call) => Promise.resolve(void order.push(call));
      world.host.gate = (call) => Promise.resolve(void order.push(call));
      await world.pool.acquire(world.addImage('v1', { multiattach }));
      const expected = multiattach
        ? ['create', 'update', 'complete', 'connect', 'read']
        : ['create', 'update', 'connect', 'read', 'complete'];
      assert.deepEqual(
        order.filter((call) => call !== 'volume' && call !== 'list'),
        expected,
      );
    }
  });
});

describe('a failed attach', () => {
  it('refuses a volume in error without reserving it', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const volume = world.cinder.volumes.get('v1');
    assert.ok(volume);
    volume.status = 'error_extending';
    assert.match((await rejectsWith('attach_refused', world.pool.acquire(image))).message, /error_extending/);
    assert.equal(count(world, 'create'), 0);
  });

  it('leaves no reservation when the driver fails, and keeps the request id', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    world.cinder.gate = (call) => Promise.resolve(call === 'update' ? broken() : undefined);
    const error = await rejectsWith('attach_refused', world.pool.acquire(image));
    assert.equal(error.context.requestId, 'req-1');
    assert.deepEqual(world.leftovers(), []);
    assert.equal(world.cinder.volumes.get('v1')?.status, 'available');
  });

  it('uses an export whose answer was lost', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    once(world, 'update', timeout());
    await world.pool.acquire(image);
    assert.equal(count(world, 'update'), 1);
  });

  it('disconnects and deletes when the host fails', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    world.host.gate = (call) =>
      Promise.resolve(call === 'connect' ? new CinderfsError('connector_failed', 'no route') : undefined);
    await rejectsWith('connector_failed', world.pool.acquire(image));
    assert.deepEqual(world.leftovers(), []);
  });

  it('is tried anew by the next opener', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    once(world, 'complete', broken());
    await rejectsWith('attach_refused', world.pool.acquire(image));
    const lease = await world.pool.acquire(image);
    assert.equal(world.pool.lastError(image.id), undefined);
    lease.release();
  });

  it('goes on deleting in the background while Cinder refuses, and the next opener waits for that', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    let down = true;
    world.cinder.gate = (call) =>
      Promise.resolve(down && (call === 'update' || call === 'delete') ? broken() : undefined);
    const failed = rejectsWith('attach_refused', world.pool.acquire(image));
    await world.clock.advance(10_000);
    await failed;
    assert.equal(world.leftovers().length, 2); // the attachment and its record
    down = false;
    const opening = world.pool.acquire(image);
    await world.clock.advance(60_000);
    const lease = await opening;
    assert.equal(world.cinder.stored.size, 1);
    lease.release();
  });
});

describe('a busy volume', () => {
  it('is asked for again while another host is between reserve and complete', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const other = world.cinder.attachElsewhere('v1', 'attaching');
    const opening = world.pool.acquire(image);
    await world.clock.advance(5_000);
    assert.ok(count(world, 'create') > 2);
    await world.cinder.complete(other);
    await world.clock.advance(10_000);
    (await opening).release();
    assert.ok(world.cinder.stored.has(other));
  });

  it('is volume_busy when the budget is spent, and nothing of ours is left', async () => {
    const world = new AttachWorld({ attachBudgetMs: 20_000 });
    const image = world.addImage('v1', { multiattach: false });
    const other = world.cinder.attachElsewhere('v1', 'attached');
    const opening = rejectsWith('volume_busy', world.pool.acquire(image));
    await world.clock.advance(20_000);
    await opening;
    assert.deepEqual(world.leftovers(), [other]);
  });
});

describe('a reservation whose answer was lost', () => {
  it('is found by listing and removed after it stayed untouched', async () => {
    const world = new AttachWorld({ orphanMs: 30_000 });
    const image = world.addImage('v1');
    once(world, 'create', timeout());
    const opening = rejectsWith('attach_timeout', world.pool.acquire(image));
    await world.clock.advance(6_000);
    await opening;
    assert.equal(world.cinder.stored.size, 1);
    await world.clock.advance(30_000);
    assert.deepEqual(world.leftovers(), []);
  });

  it('is not confused with one that another host makes and completes meanwhile', async () => {
    const world = new AttachWorld({ orphanMs: 30_000 });
    const image = world.addImage('v1');
    once(world, 'create', { refuse: new CinderfsError('http_timeout', 'never reached Cinder') });
    const opening = rejectsWith('attach_timeout', world.pool.acquire(image));
    await world.clock.advance(6_000);
    await opening;
    const other = world.cinder.attachElsewhere('v1', 'reserved');
    await world.clock.advance(10_000);
    await world.cinder.complete(other);
    await world.clock.advance(60_000);
    assert.deepEqual(world.leftovers(), [other]);
  });

  it('is not confused with one that was there before', async () => {
    const world = new AttachWorld({ orphanMs: 30_000 });
    const image = world.addImage('v1');
    const dead = world.cinder.attachElsewhere('v1', 'reserved');
    once(world, 'create', { refuse: new CinderfsError('http_timeout', 'never reached Cinder') });
    const opening = rejectsWith('attach_timeout', world.pool.acquire(image));
    await world.clock.advance(60_000);
    await opening;
    assert.deepEqual(world.leftovers(), [dead]);
  });
});

describe('identity', () => {
  it('is proven again before a lingering volume is read: a reused LUN is fenced, and attached anew', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    world.addImage('v2');
    const first = await world.pool.acquire(image);
    first.release();
    world.host.reuse('v1', 'v2');
    const second = await world.pool.acquire(image);
    assert.equal(first.fenced.aborted, true);
    assert.notEqual(second.attachmentId, first.attachmentId);
    assert.equal(world.host.read('device-of-v1').toString(), 'bytes of v1');
    second.release();
  });

  it('fences those who read when a newcomer finds other bytes', async () => {
    const world = new AttachWorld({ proofMs: 1_000 });
    const image = world.addImage('v1');
    world.addImage('v2');
    const first = await world.pool.acquire(image);
    await world.clock.advance(1_000);
    world.host.reuse('v1', 'v2');
    const second = await world.pool.acquire(image);
    assert.ok(CinderfsError.is(first.fenced.reason));
    assert.equal(first.fenced.reason.code, 'identity_mismatch');
    first.release();
    assert.equal(world.pool.report()[0]?.leases, 1);
    second.release();
  });

  it('stays pinned after a detach: content that changed is never served', async () => {
    const world = new AttachWorld({ lingerMs: 0 });
    const image = world.addImage('v1');
    (await world.pool.acquire(image)).release();
    await world.pool.quiet();
    world.host.addVolume('v1', Buffer.from('BYTES OF V1'));
    await rejectsWith('identity_mismatch', world.pool.acquire(image));
    await world.pool.quiet();
    assert.deepEqual(world.leftovers(), []);
  });

  it('refuses a volume that is smaller than its image', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    world.host.addVolume('v1', Buffer.from('short'));
    await rejectsWith('identity_mismatch', world.pool.acquire(image));
    assert.deepEqual(world.leftovers(), []);
  });
});

describe('what is held', () => {
  it('is connected again when the device vanishes under a reader, at the same path', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const lease = await world.pool.acquire(image);
    world.host.vanish('v1');
    await settle();
    assert.equal(lease.fenced.aborted, false);
    assert.equal(world.host.read('device-of-v1').toString(), 'bytes of v1');
    world.host.vanish('v1');
    await settle();
    assert.equal(lease.fenced.aborted, true, 'the second time in a minute is not cured by connecting');
    await world.pool.quiet();
    assert.deepEqual(world.leftovers(), []);
  });

  it('is fenced when Cinder has lost the attachment, and the next open attaches anew', async () => {
    const world = new AttachWorld({ recheckMs: 10_000 });
    const image = world.addImage('v1');
    const first = await world.pool.acquire(image);
    first.release();
    world.cinder.forceDelete(first.attachmentId);
    await world.clock.advance(20_000);
    const second = await world.pool.acquire(image);
    assert.notEqual(second.attachmentId, first.attachmentId);
    second.release();
  });

  it('is kept when Cinder does not answer', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    (await world.pool.acquire(image)).release();
    await world.clock.advance(20_000);
    world.cinder.gate = () =>
      Promise.resolve({ refuse: new CinderfsError('http_timeout', 'Cinder is down') });
    const lease = await world.pool.acquire(image);
    assert.equal(count(world, 'create'), 1);
    lease.release();
  });

  it('is let go at once by an operator when nobody reads, else at the last close', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const lease = await world.pool.acquire(image);
    assert.equal(world.pool.releaseImage(image.id), true);
    await settle();
    assert.equal(world.pool.report()[0]?.state, 'attached');
    lease.release();
    await world.pool.quiet();
    assert.deepEqual(world.leftovers(), []);
    assert.equal(world.pool.releaseImage(image.id), false);
  });
});

describe('a drain', () => {
  it('detaches everything, refuses newcomers and those who wait', async () => {
    const world = new AttachWorld();
    const lingering = world.addImage('v1');
    const held = world.addImage('v2');
    const busy = world.addImage('v3');
    (await world.pool.acquire(lingering)).release();
    const lease = await world.pool.acquire(held);
    world.cinder.attachElsewhere('v3', 'attaching');
    const waiting = rejectsWith('draining', world.pool.acquire(busy));
    const drained = world.pool.drain({ deadlineMs: 10_000 });
    await waiting;
    await rejectsWith('draining', world.pool.acquire(lingering));
    await settle();
    assert.equal(world.cinder.stored.size, 2); // the held one, and the other host's
    lease.release();
    assert.deepEqual(await drained, []);
    assert.deepEqual(world.leftovers(), ['attachment-3']);
  });

  it('cuts the leases that are left at the deadline', async () => {
    const world = new AttachWorld();
    const lease = await world.pool.acquire(world.addImage('v1'));
    const drained = world.pool.drain({ deadlineMs: 10_000 });
    await world.clock.advance(10_000);
    assert.deepEqual(await drained, []);
    assert.equal(lease.fenced.aborted, true);
    assert.deepEqual(world.leftovers(), []);
  });

  it('says what it could not detach', async () => {
    const world = new AttachWorld();
    (await world.pool.acquire(world.addImage('v1'))).release();
    world.cinder.gate = (call) => Promise.resolve(call === 'delete' ? broken() : undefined);
    const drained = world.pool.drain({ deadlineMs: 10_000 });
    await world.clock.advance(20_000);
    const [left] = await drained;
    assert.equal(left?.state, 'detaching');
    assert.match(left.lastError ?? '', /req-1/);
    world.end.abort();
  });
});
