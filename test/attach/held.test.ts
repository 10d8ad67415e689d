import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CinderfsError } from '../../src/errors.js';
import { AttachWorld } from '../fakes/attach-world.js';
import { settle } from '../fakes/manual-clock.js';
import { broken, count, once, rejectsWith } from './attach-testing.js';

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

  it('is let go at once by an operator, who is refused while somebody reads', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const lease = await world.pool.acquire(image);
    await rejectsWith('holders', world.pool.releaseImage(image.id));
    lease.release();
    assert.equal(world.pool.report()[0]?.state, 'lingering', 'the refusal changed nothing');
    assert.equal(await world.pool.releaseImage(image.id), true);
    assert.deepEqual(world.leftovers(), []);
    assert.equal(await world.pool.releaseImage(image.id), false);
  });

  it('is not called released before it is: a detach that fails at once is reported, and goes on', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    (await world.pool.acquire(image)).release();
    once(world, 'delete', broken());
    const error = await rejectsWith('detach_failed', world.pool.releaseImage(image.id));
    assert.equal(error.context.requestId, 'req-1');
    assert.equal(world.pool.figures().gauges.detach_retrying, 1);
    await world.clock.advance(60_000);
    assert.deepEqual(world.leftovers(), []);
  });
});
