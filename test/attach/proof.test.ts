/** What proves that the bytes are the image's: when a name does, when Glance's hash must, and when nothing can. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import type { AttachableImage } from '../../src/attach/contract/lease.js';
import { AttachWorld } from '../fakes/attach-world.js';
import { rejectsWith } from './attach-testing.js';

const V1 = '1e035fa6-7d97-400f-aa2d-cea1d44e4461';
const V2 = '22222222-7d97-400f-aa2d-cea1d44e4462';
const IQN = 'iqn.2010-10.org.openstack:volume-';

/** A world that speaks one protocol; `told` is what Cinder says of the connection. */
function worldOf(
  protocol: string,
  told: Readonly<Record<string, unknown>>,
  verifyLimit = 2 ** 20,
): AttachWorld {
  const world = new AttachWorld({ lingerMs: 0 }, { verifyLimit });
  world.cinder.protocol = protocol;
  world.cinder.info = told;
  world.host.protocols = [protocol];
  return world;
}

function withHash(image: AttachableImage, content = `bytes of ${image.volumeId}`): AttachableImage {
  return { ...image, hashAlgorithm: 'sha512', hashValue: createHash('sha512').update(content).digest('hex') };
}

/** Glance has the hash of other bytes than the volume has. */
const wrong = (image: AttachableImage): AttachableImage => withHash(image, 'other bytes');

describe('a name that Cinder tells', () => {
  const proofs: readonly (readonly [string, string, Record<string, unknown>])[] = [
    ['an RBD image of the volume', 'rbd', { name: `volumes/volume-${V1}` }],
    ['an RBD image in a namespace', 'rbd', { name: `volumes/tenant/volume-${V1}` }],
    ['an IQN of the volume', 'iscsi', { target_iqn: IQN + V1 }],
    ['an IQN on every portal', 'iser', { target_iqn: IQN + V1, target_iqns: [IQN + V1, IQN + V1] }],
  ];
  for (const [what, protocol, told] of proofs)
    it(`proves the volume where it was connected by it: ${what}`, async () => {
      const world = worldOf(protocol, told);
      (await world.pool.acquire(wrong(world.addImage(V1)))).release();
      await world.pool.quiet();
    });

  const claims: readonly (readonly [string, string, Record<string, unknown>])[] = [
    ['a file of a share', 'nfs', { name: `volume-${V1}`, export: 'h:/x' }],
    ['a local path', 'local', { name: `volume-${V1}`, device_path: '/etc/shadow' }],
    ['a protocol that nobody knows', 'storpool', { name: `volume-${V1}` }],
    ['another volume on RBD', 'rbd', { name: `volumes/volume-${V2}` }],
    ['an RBD pool with the id', 'rbd', { name: `${V1}/volume-1` }],
    ['another volume by iSCSI', 'iscsi', { target_iqn: IQN + V2 }],
    ['one portal of another target', 'iscsi', { target_iqn: IQN + V1, target_iqns: [IQN + V1, IQN + V2] }],
    ['a file name by iSCSI', 'iscsi', { name: `volume-${V1}`, target_iqn: 'iqn.2001-05.com.array:1' }],
    ['a WWN that no device said', 'fibre_channel', { wwn: '3600140500000000000000000000000aa' }],
    ['a volume that is decoded', 'nfs', { name: `volume-${V1}`, export: 'h:/x', format: 'qcow2' }],
  ];
  for (const [what, protocol, told] of claims)
    it(`proves nothing where there is a hash: ${what}`, async () => {
      const world = worldOf(protocol, told);
      const image = world.addImage(V1);
      await rejectsWith('identity_mismatch', world.pool.acquire(wrong(image)));
      await world.pool.quiet();
      assert.deepEqual([world.leftovers(), world.pins.get(V1)], [[], undefined]);
      (await world.pool.acquire(withHash(image))).release();
      await world.pool.quiet();
    });

  it('does not save a decoded volume from the hash when its first proof had none', async () => {
    const world = worldOf('nfs', { name: `volume-${V1}`, export: 'h:/x', format: 'qcow2' });
    const image = world.addImage(V1);
    (await world.pool.acquire(image)).release();
    await world.pool.quiet();
    await rejectsWith('identity_mismatch', world.pool.acquire(wrong(image)));
    await world.pool.quiet();
    (await world.pool.acquire(withHash(image))).release();
    await world.pool.quiet();
    const reads = world.host.calls.filter((call) => call === 'read').length;
    (await world.pool.acquire(withHash(image))).release();
    await world.pool.quiet();
    const again = world.host.calls.filter((call) => call === 'read').length - reads;
    assert.equal(again, 1, 'what was compared once is known by its pin');
  });
});

describe('an encrypted volume', () => {
  const encryptions: readonly (readonly [string, (world: AttachWorld) => AttachableImage])[] = [
    ['by its type', (world) => world.addImage(V1, { encrypted: true })],
    ['by its image', (world) => ({ ...world.addImage(V1), encrypted: true })],
  ];
  for (const [how, imageIn] of encryptions)
    for (const protocol of ['simulated', 'rbd', 'iscsi', 'nfs', 'local', 'fibre_channel', 'nvmeof']) {
      const told = { name: `volumes/volume-${V1}`, target_iqn: IQN + V1 };
      it(`(${how}) is refused over ${protocol} before anything is reserved, unless Glance has a hash`, async () => {
        const world = worldOf(protocol, told);
        const { message, remedy } = await rejectsWith('volume_encrypted', world.pool.acquire(imageIn(world)));
        assert.match(message, /encrypted/);
        assert.match(remedy, /hash/);
        await world.pool.quiet();
        assert.deepEqual([world.cinder.calls, world.host.calls], [['volume'], []]);
        assert.deepEqual(world.leftovers(), []);
      });

      it(`(${how}) is served over ${protocol} where its bytes are what Glance hands out, and only there`, async () => {
        const world = worldOf(protocol, told);
        const image = imageIn(world);
        await rejectsWith('volume_encrypted', world.pool.acquire(wrong(image)));
        await world.pool.quiet();
        assert.deepEqual(world.leftovers(), []);
        (await world.pool.acquire(withHash(image))).release();
        await world.pool.quiet();
      });
    }

  it('is refused when only its connection says that it is, and when it was served before that was asked', async () => {
    const world = worldOf('rbd', { name: `volumes/volume-${V1}` });
    const image = world.addImage(V1);
    (await world.pool.acquire(image)).release();
    await world.pool.quiet();
    world.cinder.info = { ...world.cinder.info, encrypted: true };
    await rejectsWith('volume_encrypted', world.pool.acquire(image));
    await world.pool.quiet();
    assert.deepEqual(world.leftovers(), []);
    (await world.pool.acquire(withHash(image))).release();
    await world.pool.quiet();
  });

  it('names the limit where the image is larger than is compared', async () => {
    const world = worldOf('rbd', { name: `volumes/volume-${V1}` }, 4);
    const image = withHash(world.addImage(V1, { encrypted: true }));
    const { remedy } = await rejectsWith('volume_encrypted', world.pool.acquire(image));
    assert.match(remedy, /verify_limit/);
  });
});
