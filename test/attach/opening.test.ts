/** Openers that come together: what they may share, and what they may not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CinderfsError } from '../../src/errors.js';
import { AttachWorld } from '../fakes/attach-world.js';
import { settle } from '../fakes/manual-clock.js';
import { count, rejectsWith } from './attach-testing.js';

const SAMPLE = 64 * 1024;

/** Stops the next read of the host until the returned function is called. */
function stopRead(world: AttachWorld, skip = 0): () => void {
  let go: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  let reads = 0;
  world.host.gate = async (call) => {
    if (call === 'read' && reads++ === skip) await gate;
    return undefined;
  };
  return go;
}

describe('openers that come together', () => {
  it('share one proof that began no longer ago than a proof is good for', async () => {
    const world = new AttachWorld({ proofMs: 1_000 });
    const image = world.addImage('v1');
    await world.pool.acquire(image);
    await world.clock.advance(1_000);
    world.host.calls.length = 0;
    const go = stopRead(world);
    const opening = Array.from({ length: 8 }, () => world.pool.acquire(image));
    await settle();
    go();
    await Promise.all(opening);
    assert.equal(world.host.calls.filter((call) => call === 'read').length, 1);
  });

  it('do not share one that began earlier: it may have looked before the LUN was reused', async () => {
    const world = new AttachWorld({ proofMs: 1_000 });
    // Head and tail are sampled apart: the attack comes between the two, and shares the tail.
    const tail = Buffer.alloc(SAMPLE, 't');
    const image = { ...world.addImage('v1'), size: 2 * SAMPLE };
    world.addImage('v2');
    world.host.addVolume('v1', Buffer.concat([Buffer.alloc(SAMPLE, '1'), tail]));
    world.host.addVolume('v2', Buffer.concat([Buffer.alloc(SAMPLE, '2'), tail]));
    const first = await world.pool.acquire(image);
    await world.clock.advance(1_000);
    const go = stopRead(world, 1);
    const early = world.pool.acquire(image);
    await settle();
    world.host.reuse('v1', 'v2');
    await world.clock.advance(1_000);
    const late = world.pool.acquire(image);
    await settle();
    go();
    const lease = await late;
    assert.equal(first.fenced.aborted, true, 'the reader of before was cut off');
    assert.notEqual(lease.attachmentId, first.attachmentId, 'the newcomer got an attachment of its own');
    assert.equal(world.host.read('device-of-v1')[0], '1'.charCodeAt(0));
    (await early).release();
    lease.release();
  });

  it('are one attachment also when it is fenced and gone before an opener has looked at it', async () => {
    const world = new AttachWorld({ proofMs: 1_000 });
    const image = world.addImage('v1');
    await world.pool.acquire(image);
    await world.clock.advance(1_000);
    const go = stopRead(world);
    const slow = world.pool.acquire(image);
    await settle();
    world.pool.all()[0]?.fence(new CinderfsError('attachment_lost', 'an operator deleted it'));
    await settle();
    assert.deepEqual(world.leftovers(), [], 'nothing is held any more, and the opener does not know yet');
    // Forgotten now, the volume would get a second driver.
    const quick = world.pool.acquire(image);
    go();
    const leases = await Promise.all([slow, quick]);
    assert.equal(new Set(leases.map(({ attachmentId }) => attachmentId)).size, 1);
    assert.equal(world.pool.report().length, 1);
    assert.equal(world.cinder.stored.size, 1);
    for (const lease of leases) lease.release();
  });
});

describe('a boot storm of many images', () => {
  it('attaches as many at once as there are slots, and all of them in the end', async () => {
    const world = new AttachWorld({}, { slots: 4 });
    const images = Array.from({ length: 64 }, (_, number) => world.addImage(`v${number}`));
    let running = 0;
    let most = 0;
    world.cinder.gate = (call) => {
      if (call === 'create') most = Math.max(most, ++running);
      return Promise.resolve(undefined);
    };
    world.host.gate = async (call) => {
      if (call !== 'connect') return undefined;
      await settle();
      running--;
      return undefined;
    };
    const leases = await Promise.all(images.map((image) => world.pool.acquire(image)));
    assert.equal(most, 4);
    assert.equal(count(world, 'create'), 64);
    for (const lease of leases) lease.release();
    await world.clock.advance(60_000);
    assert.deepEqual(world.leftovers(), []);
    assert.ok(Object.values(world.pool.figures().gauges).every((value) => value === 0));
  });

  it('gives its slot to others while it waits for another host', async () => {
    const world = new AttachWorld({}, { slots: 1 });
    const busy = world.addImage('v1');
    const elsewhere = world.cinder.attachElsewhere('v1', 'reserved');
    const waits = world.pool.acquire(busy);
    await settle();
    const lease = await world.pool.acquire(world.addImage('v2'));
    world.cinder.forceDelete(elsewhere);
    await world.clock.advance(10_000);
    assert.equal((await waits).volumeId, 'v1');
    lease.release();
  });

  it('lets go of an attach that waits for its slot when the mount goes', async () => {
    const world = new AttachWorld({}, { slots: 1 });
    world.host.gate = (call) =>
      call === 'connect' ? new Promise(() => undefined) : Promise.resolve(undefined);
    world.pool.acquire(world.addImage('v1')).catch(() => undefined);
    await settle();
    const queued = rejectsWith('draining', world.pool.acquire(world.addImage('v2')));
    await settle();
    assert.equal(world.pool.figures().gauges.queued, 1);
    void world.pool.drain({ deadlineMs: 1_000 });
    await queued;
    await settle();
    assert.equal(world.pool.figures().gauges.queued, 0);
    assert.equal(world.journal.get('v2'), undefined);
  });
});
