import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { cloudForSuite, connect, undoAfter } from './cloud-under-test.js';
import type { Openstack } from '../../src/cinder/openstack.js';
import { CinderfsError } from '../../src/errors.js';
import { eventually } from '../support/eventually.js';

describe('a clone', () => {
  const cloud = cloudForSuite();

  /** The status of a volume once it is not `passing` any more; undefined when it is gone. */
  async function settled({ volumes }: Openstack, id: string, passing: string): Promise<string | undefined> {
    const { status } = await eventually(`${id} is not ${passing} any more`, async () => {
      const volume = await volumes.show(id).catch((error: unknown) => {
        if (CinderfsError.is(error) && error.code === 'not_found') return undefined;
        throw error;
      });
      return volume?.status === passing ? undefined : { status: volume?.status };
    });
    return status;
  }

  it('is made in the background, found by its name, and gone some time after it was deleted', async (t) => {
    const openstack = await connect(t, cloud());
    const { clones, volumes } = openstack;
    const image = cloud().images.find(
      ({ attachable, multiattach, backend }) => attachable && !multiattach && backend !== 'nfs',
    );
    assert.ok(image);
    const name = `contract-clone-${randomUUID()}`;
    const source = await volumes.show(image.volume_id);
    const { id, status } = await clones.create({
      source: source.id,
      name,
      sizeGib: source.sizeGib,
      type: undefined,
      metadata: { cinderfs_source: source.id },
    });
    undoAfter(t, () => clones.delete(id));
    assert.equal(status, 'creating');
    assert.equal(await settled(openstack, id, 'creating'), 'available');
    assert.equal((await volumes.show(source.id)).status, 'available', 'the source is as before');
    const [found, ...more] = await clones.named(name);
    assert.deepEqual(more, []);
    assert.equal(found?.id, id);
    assert.equal(found.metadata.cinderfs_source, source.id);
    assert.equal(found.sizeGib, source.sizeGib);
    assert.equal(found.metadata.glance_image_id, undefined, 'it does not claim to be the image');
    await clones.delete(id);
    assert.equal(await settled(openstack, id, 'deleting'), undefined);
    await clones.delete(id);
  });

  it('may be of a multiattach type of the same backend, and of no type that does not exist', async (t) => {
    const openstack = await connect(t, cloud());
    const types = await openstack.clones.multiattachTypes();
    assert.ok(types.length > 0);
    const image = cloud().images.find(({ attachable, multiattach }) => attachable && !multiattach);
    const source = await openstack.volumes.show(image?.volume_id ?? '');
    const request = { source: source.id, name: 'contract-clone', sizeGib: source.sizeGib, metadata: {} };
    await assert.rejects(openstack.clones.create({ ...request, type: 'no-such-type' }), (error: unknown) =>
      [400, 404].includes(CinderfsError.is(error) ? (error.context.status ?? 0) : 0),
    );
  });
});
