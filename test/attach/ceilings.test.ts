/** One reader cannot take every volume of the cloud. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DEFAULT_CEILINGS, type Ceilings } from '../../src/attach/context/ceilings.js';
import { Pool } from '../../src/attach/lifecycle/pool.js';
import { AttachWorld } from '../fakes/attach-world.js';
import { settle } from '../fakes/manual-clock.js';
import { count, rejectsWith } from './attach-testing.js';

const NOBODY = 65_534;

function poolWith(ceilings: Partial<Ceilings>): { world: AttachWorld; pool: Pool } {
  const world = new AttachWorld();
  const context = { ...world.context, ceilings: { ...DEFAULT_CEILINGS, ...ceilings } };
  return { world, pool: new Pool(context, world.end.signal) };
}

describe('the ceiling of a user', () => {
  it('refuses one volume more with EDQUOT and a last error, without asking Cinder, and gives back what is closed', async () => {
    const { world, pool } = poolWith({ perUser: 2 });
    const images = ['v1', 'v2', 'v3'].map((volume) => world.addImage(volume));
    const [first, second, third] = images;
    assert.ok(first && second && third);
    const leases = [await pool.acquire(first, { uid: NOBODY }), await pool.acquire(second, { uid: NOBODY })];
    const asked = count(world, 'create');
    const error = await rejectsWith('too_many_attachments', pool.acquire(third, { uid: NOBODY }));
    assert.equal(error.errno, 'EDQUOT');
    assert.match(pool.lastError(third.id) ?? '', /^EDQUOT: user 65534 reads 2 volumes/);
    assert.equal(count(world, 'create'), asked);
    // A volume that the user has open already counts once; another user and root are not in the way.
    (await pool.acquire(first, { uid: NOBODY })).release();
    (await pool.acquire(third, { uid: 1000 })).release();
    (await pool.acquire(third, { uid: 0 })).release();
    leases[0]?.release();
    leases[0]?.release();
    await pool.acquire(third, { uid: NOBODY });
    await rejectsWith('too_many_attachments', pool.acquire(first, { uid: NOBODY }));
  });

  it('is lower for volumes that nobody else can use meanwhile', async () => {
    const { world, pool } = poolWith({ singlePerUser: 1 });
    const single = ['s1', 's2'].map((volume) => world.addImage(volume, { multiattach: false }));
    const [first, second] = single;
    assert.ok(first && second);
    const lease = await pool.acquire(first, { uid: NOBODY });
    await rejectsWith('too_many_attachments', pool.acquire(second, { uid: NOBODY }));
    (await pool.acquire(world.addImage('shared'), { uid: NOBODY })).release();
    lease.release();
    await settle();
    await pool.acquire(second, { uid: NOBODY });
  });

  it('is not used up by opens that failed or were given up', async () => {
    const { world, pool } = poolWith({ perUser: 1 });
    const [broken, whole] = [world.addImage('v1'), world.addImage('v2')];
    world.cinder.volumes.delete('v1');
    await rejectsWith('not_found', pool.acquire(broken, { uid: NOBODY }));
    await pool.acquire(whole, { uid: NOBODY });
  });
});

describe('the ceiling of a host', () => {
  it('lets go of what nobody reads, and refuses where all is read', async () => {
    const { world, pool } = poolWith({ perHost: 2 });
    const [first, second, third, fourth] = ['v1', 'v2', 'v3', 'v4'].map((volume) => world.addImage(volume));
    assert.ok(first && second && third && fourth);
    (await pool.acquire(first)).release();
    await pool.acquire(second);
    await pool.acquire(third);
    await settle();
    assert.deepEqual(
      pool.report().map(({ volumeId }) => volumeId),
      ['v2', 'v3'],
    );
    const error = await rejectsWith('too_many_attachments', pool.acquire(fourth, { uid: 0 }));
    assert.match(error.remedy, /attachments_per_host/);
  });
});
