/** Clones that were not deleted by whoever made them, or whose reader is dead. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AttachmentRecord } from '../../src/attach/journal/record.js';
import { Pool } from '../../src/attach/lifecycle/pool.js';
import { reap, sweepClones } from '../../src/attach/cleanup/reap.js';
import type { AttachWorld } from '../fakes/attach-world.js';
import { settle } from '../fakes/manual-clock.js';
import { clonesOf, cloneScene, MOUNT, patiently } from './clone-scene.js';

describe('a clone whose reader died', () => {
  it('is deleted when its backend counts that reader no more', async () => {
    const { world, image } = cloneScene();
    const lease = await patiently(world, world.pool.acquire(image));
    // Until it is fenced: a connection that vanishes now and then is made again.
    for (let loss = 0; !lease.fenced.aborted && loss < 20; loss++) {
      world.host.vanish('clone-1');
      await settle();
    }
    assert.ok(lease.fenced.aborted);
    lease.release();
    await world.clock.advance(20_000);
    assert.deepEqual(clonesOf(world), ['clone-1']);
    await world.clock.advance(40_000);
    assert.deepEqual(world.leftovers(), []);
  });

  it('is deleted as late when it was connected again meanwhile', async () => {
    const { world, image } = cloneScene({ lingerMs: 1_000 });
    const lease = await patiently(world, world.pool.acquire(image));
    world.host.vanish('clone-1');
    await settle();
    lease.release();
    await world.clock.advance(20_000);
    assert.deepEqual(clonesOf(world), ['clone-1']);
    await world.clock.advance(40_000);
    assert.deepEqual(world.leftovers(), []);
  });

  it('is deleted as late when no journal remembers it', async () => {
    const { world, image } = cloneScene();
    await patiently(world, world.pool.acquire(image));
    world.host.vanish('clone-1');
    await loseEverything(world);
    await patiently(world, sweepClones(world.context, world.end.signal));
    assert.deepEqual(clonesOf(world), []);
  });

  it('is deleted once a reader that nobody remembers was ended', async () => {
    const { world, image } = cloneScene();
    await patiently(world, world.pool.acquire(image));
    await loseEverything(world);
    await patiently(world, sweepClones(world.context, world.end.signal));
    assert.deepEqual(world.leftovers(), []);
  });

  /** The host is made anew. */
  async function loseEverything(world: AttachWorld): Promise<void> {
    world.end.abort();
    await settle();
    for (const { volumeId } of world.journal.list()) await world.journal.remove(volumeId);
    for (const id of world.cinder.stored.keys()) world.cinder.forceDelete(id);
    Object.assign(world, { end: new AbortController() });
  }
});

describe('a clone of an earlier life', () => {
  /** What a process leaves that is killed right after it wrote a record that `wanted` recognises. */
  async function killed(wanted: (record: AttachmentRecord) => boolean): Promise<AttachWorld> {
    const { world, image } = cloneScene();
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
    const { world, image } = cloneScene();
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
    const { world, image } = cloneScene();
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
