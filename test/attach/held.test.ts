import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import type { AttachableImage } from '../../src/attach/contract/lease.js';
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

  it('is proven again for every read in hand, and once for those who come together', async () => {
    const world = new AttachWorld({ proofMs: 1_000 });
    const image = world.addImage('v1');
    world.addImage('v2');
    const lease = await world.pool.acquire(image);
    const proofs = (): number => world.host.calls.filter((call) => call === 'read').length;
    await world.clock.advance(1);
    const before = proofs();
    await Promise.all([lease.prove(), lease.prove(), lease.prove()]);
    assert.equal(proofs() - before, 1, 'though the last proof was just now');
    await world.clock.advance(1);
    world.host.reuse('v1', 'v2');
    await rejectsWith('identity_mismatch', lease.prove());
    assert.equal(lease.fenced.aborted, true);
    lease.release();
    await world.pool.quiet();
    assert.deepEqual(world.leftovers(), []);
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

  it('is judged by the hash that Glance has when the LUN was reused before the first proof ever', async () => {
    const world = new AttachWorld();
    const image = withHash(world.addImage('v1'), 'bytes of v1');
    world.addImage('v2');
    reuseAtConnect(world, 'v1', 'v2');
    await rejectsWith('identity_mismatch', world.pool.acquire(image));
    await world.pool.quiet();
    assert.deepEqual([world.leftovers(), world.pins.get('v1')], [[], undefined]);
    world.host.gate = () => Promise.resolve(undefined);
    (await world.pool.acquire(image)).release();
  });

  it('is pinned anew when the pin was wrong and the content is what Glance has', async () => {
    const world = new AttachWorld({ lingerMs: 0 });
    const image = world.addImage('v1');
    world.addImage('v2');
    reuseAtConnect(world, 'v1', 'v2');
    (await world.pool.acquire(image)).release();
    await world.pool.quiet();
    world.host.gate = () => Promise.resolve(undefined);
    await rejectsWith('identity_mismatch', world.pool.acquire(image));
    await world.pool.quiet();
    (await world.pool.acquire(withHash(image, 'bytes of v1'))).release();
    await world.pool.quiet();
    (await world.pool.acquire(image)).release();
  });

  it('is not judged by a hash that is too much to read, or of a kind nobody here knows', async () => {
    for (const [limit, algorithm] of [
      [4, 'sha512'],
      [1_000, 'md6'],
    ] as const) {
      const world = new AttachWorld({}, { verifyLimit: limit });
      const image = { ...withHash(world.addImage('v1'), 'other bytes'), hashAlgorithm: algorithm };
      (await world.pool.acquire(image)).release();
    }
  });

  it('asks Cinder once more about a volume that was completed before its first proof', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    world.addImage('v2');
    world.host.gate = (call) => {
      if (call === 'read') for (const id of world.cinder.stored.keys()) world.cinder.forceDelete(id);
      return Promise.resolve(undefined);
    };
    await rejectsWith('attachment_lost', world.pool.acquire(image));
    assert.equal(world.pins.get('v1'), undefined);
  });

  it('refuses a volume that is smaller than its image', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    world.host.addVolume('v1', Buffer.from('short'));
    await rejectsWith('identity_mismatch', world.pool.acquire(image));
    assert.deepEqual(world.leftovers(), []);
  });
});

/** The image, with the hash that Glance has of `content`. */
function withHash(image: AttachableImage, content: string): AttachableImage {
  return { ...image, hashAlgorithm: 'sha512', hashValue: createHash('sha512').update(content).digest('hex') };
}

/** Between the connection and its proof the LUN is given to another volume. */
function reuseAtConnect(world: AttachWorld, volume: string, shows: string): void {
  world.host.gate = (call) => {
    if (call === 'read') world.host.reuse(volume, shows);
    return Promise.resolve(undefined);
  };
}

describe('what is held', () => {
  it('is connected again when the device vanishes under a reader, at the same path', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const lease = await world.pool.acquire(image);
    world.host.vanish('v1');
    await settle();
    assert.equal(lease.fenced.aborted, false);
    assert.equal(world.host.read('device-of-v1').toString(), 'bytes of v1');
    for (let again = 1; again < 10; again++) {
      world.host.vanish('v1');
      await settle();
      assert.equal(lease.fenced.aborted, false, `${again} times more, as by a busy neighbour`);
    }
    world.host.vanish('v1');
    await settle();
    assert.equal(lease.fenced.aborted, true, 'connecting does not cure it');
    await world.pool.quiet();
    assert.deepEqual(world.leftovers(), []);
  });

  it('is connected again when the device vanishes before it was proven, under the same attachment', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    let left = 2;
    world.host.gate = (call) => {
      if (call === 'read' && left-- > 0) world.host.vanish('v1');
      return Promise.resolve(undefined);
    };
    const lease = await world.pool.acquire(image);
    assert.equal(count(world, 'create'), 1);
    assert.equal(world.host.calls.filter((call) => call === 'connect').length, 3);
    lease.release();
  });

  it('is connected again when it vanishes once more before the new connection was proven', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const lease = await world.pool.acquire(image);
    let left = 2;
    world.host.gate = (call) => {
      if (call === 'read' && left-- > 0) world.host.vanish('v1');
      return Promise.resolve(undefined);
    };
    world.host.vanish('v1');
    await settle();
    assert.equal(lease.fenced.aborted, false, 'as by a neighbour that is quicker than the proof');
    assert.equal(world.host.read('device-of-v1').toString(), 'bytes of v1');
    lease.release();
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
