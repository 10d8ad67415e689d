/** A volume that only one host may attach, read through a clone of our own. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CinderfsError } from '../../src/errors.js';
import { rejectsWith } from './attach-testing.js';
import { clonesOf, cloneScene, MOUNT, patiently } from './clone-scene.js';

describe('a clone', () => {
  it('is attached instead of the volume, which stays free for others', async () => {
    const { world, image } = cloneScene();
    const lease = await patiently(world, world.pool.acquire(image));
    const [clone] = clonesOf(world);
    assert.ok(clone !== undefined);
    assert.deepEqual(lease.source, { kind: 'device', path: `device-of-${clone}` });
    assert.equal(lease.volumeId, 'v1');
    assert.equal(world.host.read(`device-of-${clone}`).toString(), 'bytes of v1');
    assert.equal(world.cinder.volumes.get('v1')?.status, 'available');
    assert.equal(world.cinder.volumes.get(clone)?.multiattach, true);
    assert.deepEqual(world.cinder.volumes.get(clone)?.metadata, {
      cinderfs_owner: MOUNT,
      cinderfs_host: 'host-1',
      cinderfs_source: 'v1',
      cinderfs_image: image.id,
    });
    assert.equal(world.pool.report()[0]?.cloneId, clone);
    lease.release();
  });

  it('is made once, lingers, and is deleted with its attachment', async () => {
    const { world, image } = cloneScene();
    const opening = Promise.all(Array.from({ length: 16 }, () => world.pool.acquire(image)));
    const leases = await patiently(world, opening);
    for (const lease of leases) lease.release();
    (await patiently(world, world.pool.acquire(image))).release();
    assert.deepEqual(clonesOf(world), ['clone-1']);
    assert.equal(world.pool.report()[0]?.state, 'lingering');
    await world.clock.advance(70_000);
    assert.deepEqual(world.leftovers(), []);
    assert.deepEqual(world.pool.report(), []);
    assert.ok(Object.values(world.pool.figures().gauges).every((value) => value === 0));
    assert.equal(world.clock.pending, 0);
  });

  it('is not made of a multiattach volume, which is shared', async () => {
    const { world } = cloneScene();
    const lease = await world.pool.acquire(world.addImage('v2'));
    assert.deepEqual(world.clones.of(), []);
    lease.release();
  });

  it('has the type of the source where Cinder does not allow another', async () => {
    const { world, image } = cloneScene();
    const create = world.clones.create.bind(world.clones);
    world.clones.create = (request) =>
      request.type === undefined
        ? create(request)
        : Promise.reject(new CinderfsError('http_failed', 'type is not compatible', { status: 400 }));
    const lease = await patiently(world, world.pool.acquire(image));
    assert.equal(world.cinder.volumes.get(clonesOf(world)[0] ?? '')?.multiattach, false);
    lease.release();
    assert.equal(world.pool.report()[0]?.state, 'lingering', 'it is ours alone: it may linger all the same');
  });

  it('waits while another host is attaching the volume: Cinder clones none that is reserved', async () => {
    const { world, image } = cloneScene();
    const create = world.clones.create.bind(world.clones);
    const busy = new CinderfsError('conflict', 'status must be available or in-use', { status: 400 });
    const until = world.clock.now() + 20_000;
    world.clones.create = (request) => (world.clock.now() < until ? Promise.reject(busy) : create(request));
    const lease = await patiently(world, world.pool.acquire(image));
    assert.ok(world.clock.now() >= until);
    lease.release();
    world.clones.create = () => Promise.reject(busy);
    await world.clock.advance(70_000);
    await rejectsWith('attach_timeout', patiently(world, world.pool.acquire(image)));
    await world.clock.advance(10_000);
    assert.deepEqual(world.leftovers(), []);
  });

  it('must have the content that the volume was proven to have', async () => {
    const { world, image } = cloneScene();
    (await patiently(world, world.pool.acquire(image))).release();
    await world.clock.advance(70_000);
    assert.equal(world.pins.get('v1')?.imageId, image.id);
    world.clones.onCreate = (_, id) => world.host.addVolume(id, Buffer.from('BYTES OF V1'));
    await rejectsWith('identity_mismatch', patiently(world, world.pool.acquire(image)));
    await world.clock.advance(60_000);
    assert.deepEqual(world.leftovers(), []);
  });
});

describe('a clone that fails', () => {
  it('leaves nothing when Cinder refuses it', async () => {
    const { world, image } = cloneScene();
    world.clones.create = () =>
      Promise.reject(new CinderfsError('http_failed', 'quota', { status: 413, requestId: 'req-9' }));
    const error = await rejectsWith('attach_refused', patiently(world, world.pool.acquire(image)));
    assert.equal(error.context.requestId, 'req-9');
    assert.deepEqual(world.leftovers(), []);
  });

  it('is deleted when it ends in error', async () => {
    const { world, image } = cloneScene();
    world.clones.onCreate = (_, id) => {
      const clone = world.cinder.volumes.get(id);
      if (clone !== undefined) clone.status = 'error';
    };
    await rejectsWith('attach_refused', patiently(world, world.pool.acquire(image)));
    await world.clock.advance(60_000);
    assert.deepEqual(world.leftovers(), []);
  });

  it('is deleted when its reservation is refused for good', async () => {
    const { world, image } = cloneScene();
    world.cinder.gate = (call) =>
      Promise.resolve(
        call === 'create'
          ? { refuse: new CinderfsError('attach_refused', 'no', { status: 403 }) }
          : undefined,
      );
    await rejectsWith('attach_refused', patiently(world, world.pool.acquire(image)));
    await world.clock.advance(60_000);
    assert.deepEqual(world.leftovers(), []);
  });

  it('is found by its name when the answer was lost, also when the request is served late', async () => {
    const { world, image } = cloneScene();
    const create = world.clones.create.bind(world.clones);
    world.clones.create = (request) => {
      world.clock.after(20_000, () => void create(request));
      return Promise.reject(new CinderfsError('http_timeout', 'no answer'));
    };
    await rejectsWith('attach_timeout', patiently(world, world.pool.acquire(image)));
    assert.equal(world.pool.report()[0]?.state, 'detaching', 'it may still come');
    await world.clock.advance(60_000);
    assert.deepEqual(world.leftovers(), []);
  });
});
