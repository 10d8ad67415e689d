import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HostRecord } from '../../src/attach/journal/record.js';
import { AttachWorld } from '../fakes/attach-world.js';

/** A world whose connector gives out the host's own devices, as brick does. Keeps what was left to others. */
function sharingWorld(): { world: AttachWorld; left: HostRecord[] } {
  const left: HostRecord[] = [];
  const leave = (host: HostRecord): Promise<void> => {
    left.push(host);
    return Promise.resolve();
  };
  const world = new AttachWorld({ lingerMs: 0 }, { abilities: { sharesDevices: true, leave } });
  return { world, left };
}

describe('a device that other services of this host may have', () => {
  it('is left to them when they have the volume attached too', async () => {
    const { world, left } = sharingWorld();
    const lease = await world.pool.acquire(world.addImage('v1'));
    const theirs = await world.cinder.create('v1');
    await world.cinder.update(theirs.id, { ...world.context.properties, mountpoint: '/dev/vdb' });
    await world.cinder.complete(theirs.id);
    lease.release();
    await world.pool.quiet();
    assert.equal(left.length, 1);
    assert.deepEqual([...world.cinder.stored.keys()], [theirs.id], 'our attachment is gone all the same');
  });

  it('is removed when nobody else on this host has it', async () => {
    const { world, left } = sharingWorld();
    const lease = await world.pool.acquire(world.addImage('v1'));
    const elsewhere = await world.cinder.create('v1');
    await world.cinder.update(elsewhere.id, { ...world.context.properties, host: 'host-2' });
    await world.cinder.complete(elsewhere.id);
    lease.release();
    await world.pool.quiet();
    assert.deepEqual(left, []);
    assert.equal(world.journal.get('v1'), undefined);
  });

  it('is connected and removed under the locks of its volume, each time until Cinder knows', async () => {
    const { world } = sharingWorld();
    const id = '11111111-2222-3333-4444-555555555555';
    const image = world.addImage(id);
    const held: string[] = [];
    Object.assign(world.context, {
      guard: (locks: readonly string[]) => {
        const first = world.cinder.calls.length;
        return Promise.resolve(() => {
          held.push(`${locks.join(' ')}: ${world.cinder.calls.slice(first).join(' ')}`);
          return Promise.resolve();
        });
      },
    });
    (await world.pool.acquire(image)).release();
    await world.pool.quiet();
    const name = `glance_store-${id}`;
    assert.deepEqual(held, [`${name}: update complete show`, `${name}: volume delete`]);
  });
});
