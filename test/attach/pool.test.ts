import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AttachWorld } from '../fakes/attach-world.js';
import { settle } from '../fakes/manual-clock.js';
import { broken, count, rejectsWith } from './attach-testing.js';

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
        ? ['create', 'update', 'complete', 'connect', 'read', 'show', 'read']
        : ['create', 'update', 'connect', 'read', 'show', 'complete', 'read']; // at last the look at its head
      assert.deepEqual(
        order.filter((call) => call !== 'volume' && call !== 'list'),
        expected,
      );
    }
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
