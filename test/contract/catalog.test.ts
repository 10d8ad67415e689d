import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { parseLocation } from '../../src/cinder/glance/location.js';
import { CinderfsError } from '../../src/errors.js';
import { cloudForSuite, connect } from './cloud-under-test.js';

function isNotFound(error: unknown): boolean {
  assert.ok(CinderfsError.is(error), String(error));
  assert.equal(error.code, 'not_found');
  assert.match(error.context.requestId ?? '', /^req-[0-9a-f-]{36}$/);
  return true;
}

describe('the catalog', () => {
  const cloud = cloudForSuite();

  it('has every image with its size, volume, store and multiattach', async (t) => {
    const { catalog } = await connect(t, cloud());
    const { images, generation } = await catalog.start();
    assert.equal(generation, 1);
    for (const known of cloud().images) {
      const image = images.get(known.id);
      assert.ok(image !== undefined, `${known.name} is missing`);
      assert.deepEqual(
        {
          name: image.name,
          size: image.size,
          volume: image.volumeId,
          store: image.storeId,
          format: image.diskFormat,
          multiattach: image.multiattach,
        },
        {
          name: known.name,
          size: known.size,
          volume: known.volume_id,
          store: parseLocation(known.location)?.storeId,
          format: known.disk_format,
          multiattach: known.multiattach,
        },
      );
      assert.ok((image.volumeGib ?? 0) * 2 ** 30 >= image.size);
    }
  });

  it('follows pages to the end', async (t) => {
    const [small, large] = [
      await connect(t, cloud(), { flags: { 'page-size': '2' } }),
      await connect(t, cloud()),
    ];
    const ids = (list: readonly { id: string }[]): string[] => list.map(({ id }) => id).sort();
    assert.ok(cloud().images.length > 2, 'there is more than one page');
    assert.deepEqual(ids(await small.images.list()), ids(await large.images.list()));
    assert.deepEqual(ids(await small.volumes.list()), ids(await large.volumes.list()));
  });

  it('shows the volume as Glance left it', async (t) => {
    const { volumes } = await connect(t, cloud());
    const known = cloud().images.find(({ attachable }) => attachable);
    assert.ok(known !== undefined);
    const volume = await volumes.show(known.volume_id);
    assert.equal(volume.id, known.volume_id);
    assert.equal(volume.metadata.glance_image_id, known.id);
    assert.equal(volume.multiattach, known.multiattach);
    assert.ok(volume.sizeGib >= 1);
  });

  it('answers not_found with a request id for a volume that is not there', async (t) => {
    const { volumes, images } = await connect(t, cloud());
    await assert.rejects(volumes.show(randomUUID()), isNotFound);
    assert.equal(await images.locations(randomUUID()), undefined);
  });

  it('shows an outsider no volume, and lets it attach none', async (t) => {
    const { volumes, attachments } = await connect(t, cloud(), { role: 'outsider' });
    const known = new Set(cloud().images.map(({ volume_id }) => volume_id));
    assert.deepEqual(
      (await volumes.list()).filter(({ id }) => known.has(id)),
      [],
    );
    const [first] = known;
    assert.ok(first !== undefined);
    await assert.rejects(volumes.show(first), isNotFound);
    await assert.rejects(attachments.create(first), isNotFound);
    assert.deepEqual(await attachments.listForVolume(first), []);
  });

  it('lets an admin of another project see the volumes, but lists none of them as its own', async (t) => {
    const { volumes, session } = await connect(t, cloud(), { role: 'admin' });
    const { projectId } = await session.token();
    for (const volume of await volumes.list()) assert.equal(volume.projectId, projectId);
    const [known] = cloud().images;
    assert.equal((await volumes.show(known?.volume_id ?? '')).id, known?.volume_id);
  });
});
