/** A volume that only one host may attach, read through a clone of our own. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AttachmentRecord } from '../../src/attach/journal/record.js';
import type { AttachableImage } from '../../src/attach/lease.js';
import { Pool } from '../../src/attach/lifecycle/pool.js';
import { reap, sweepClones } from '../../src/attach/lifecycle/reap.js';
import { CinderfsError } from '../../src/errors.js';
import { AttachWorld } from '../fakes/attach-world.js';
import { settle } from '../fakes/manual-clock.js';
import { rejectsWith } from './attach-testing.js';

const MOUNT = 'cinderfs:host-1:m';

function scene(): { world: AttachWorld; image: AttachableImage } {
  const world = new AttachWorld({}, { isolate: 'clone' });
  Object.assign(world.context, { properties: { ...world.context.properties, mountpoint: MOUNT } });
  return { world, image: world.addImage('v1', { multiattach: false }) };
}

/** Lets time pass until `work` has settled. */
async function patiently<T>(world: AttachWorld, work: Promise<T>): Promise<T> {
  const state = { settled: false };
  const done = work.finally(() => (state.settled = true));
  done.catch(() => undefined);
  for (let turn = 0; !state.settled && turn < 200; turn++) await world.clock.advance(1_000);
  return done;
}

const clonesOf = (world: AttachWorld): readonly string[] => world.clones.of('v1');

describe('a clone', () => {
  it('is attached instead of the volume, which stays free for others', async () => {
    const { world, image } = scene();
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
    const { world, image } = scene();
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
    const { world } = scene();
    const lease = await world.pool.acquire(world.addImage('v2'));
    assert.deepEqual(world.clones.of(), []);
    lease.release();
  });

  it('has the type of the source where Cinder does not allow another', async () => {
    const { world, image } = scene();
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
    const { world, image } = scene();
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
    const { world, image } = scene();
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
    const { world, image } = scene();
    world.clones.create = () =>
      Promise.reject(new CinderfsError('http_failed', 'quota', { status: 413, requestId: 'req-9' }));
    const error = await rejectsWith('attach_refused', patiently(world, world.pool.acquire(image)));
    assert.equal(error.context.requestId, 'req-9');
    assert.deepEqual(world.leftovers(), []);
  });

  it('is deleted when it ends in error', async () => {
    const { world, image } = scene();
    world.clones.onCreate = (_, id) => {
      const clone = world.cinder.volumes.get(id);
      if (clone !== undefined) clone.status = 'error';
    };
    await rejectsWith('attach_refused', patiently(world, world.pool.acquire(image)));
    await world.clock.advance(60_000);
    assert.deepEqual(world.leftovers(), []);
  });

  it('is deleted when its reservation is refused for good', async () => {
    const { world, image } = scene();
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
    const { world, image } = scene();
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

describe('a clone of an earlier life', () => {
  /** What a process leaves that is killed right after it wrote a record that `wanted` recognises. */
  async function killed(wanted: (record: AttachmentRecord) => boolean): Promise<AttachWorld> {
    const { world, image } = scene();
    let dead = false;
    world.journal.gate = async (record) => {
      if (dead) await new Promise(() => undefined);
      if (record !== undefined && wanted(record)) dead = true;
    };
    const lease = world.pool.acquire(image);
    lease.then((held) => held.release()).catch(() => undefined);
    for (let turn = 0; turn < 100; turn++) await world.clock.advance(1_000);
    world.journal.gate = () => Promise.resolve();
    return world;
  }

  for (const [when, wanted] of [
    [
      'before Cinder answered',
      ({ step, clone }: AttachmentRecord) => step === 'clone' && clone?.answered === false,
    ],
    [
      'while it was made',
      ({ clone, step }: AttachmentRecord) => step === 'clone' && clone?.answered === true,
    ],
    ['while it was reserved', ({ step }: AttachmentRecord) => step === 'reserve'],
    ['while it was connected', ({ step }: AttachmentRecord) => step === 'connect'],
    ['while its attachment was deleted', ({ step }: AttachmentRecord) => step === 'delete'],
    ['while it was deleted', ({ step }: AttachmentRecord) => step === 'delete_clone'],
  ] as const) {
    it(`is removed by the next start when that was killed ${when}`, async () => {
      const world = await killed(wanted);
      assert.equal(world.journal.list().length, 1, 'there is something to remove');
      const next = new Pool(world.context, world.end.signal);
      next.recover(world.journal.list());
      await world.clock.advance(200_000);
      assert.deepEqual(next.report(), []);
      assert.deepEqual(world.leftovers(), []);
    });
  }

  it('is adopted when it is whole, and deleted after its linger', async () => {
    const { world, image } = scene();
    await patiently(world, world.pool.acquire(image));
    const next = new Pool(world.context, world.end.signal);
    next.recover(world.journal.list());
    await settle();
    assert.equal(next.figures().counters.adoptions, 1);
    assert.equal(next.report()[0]?.cloneId, 'clone-1');
    await world.clock.advance(200_000);
    assert.deepEqual(world.leftovers(), []);
  });

  it('is found by its tag when the journal is lost; those of others are not', async () => {
    const { world, image } = scene();
    const lease = await patiently(world, world.pool.acquire(image));
    const tagged = (id: string, name: string, cinderfs_owner: string): void =>
      world.cinder.addVolume(id, { name, metadata: { cinderfs_owner }, sourceId: 'v1' });
    tagged('lost', 'cinderfs-clone-1', MOUNT);
    tagged('of-another', 'cinderfs-clone-2', 'cinderfs:host-2:m');
    tagged('of-no-name', 'precious', MOUNT);
    await patiently(world, sweepClones(world.context, world.end.signal));
    assert.deepEqual([...clonesOf(world)].sort(), ['clone-1', 'of-another', 'of-no-name']);
    const reaping = reap(world.context, { dryRun: false, deadHost: 'host-2' }, world.end.signal);
    assert.deepEqual(
      (await patiently(world, reaping)).map(({ what, volumeId }) => [what, volumeId]),
      [['clone', 'of-another']],
    );
    assert.deepEqual([...clonesOf(world)].sort(), ['clone-1', 'of-no-name']);
    lease.release();
  });
});
