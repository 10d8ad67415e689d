import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { eventually } from '../support/eventually.js';
import { VolumeEndpoint } from '../../src/cinder/volumes/microversion.js';
import { cloudForSuite, connect, undoAfter } from './cloud-under-test.js';

describe('the snapshots of a volume', () => {
  const cloud = cloudForSuite();

  it('are listed for that volume alone, page by page, until they are deleted', async (t) => {
    const { volumes, session } = await connect(t, cloud(), { flags: { 'page-size': '1' } });
    const endpoint = new VolumeEndpoint(session, '3.69');
    const [image, other] = cloud().images.filter(
      ({ attachable, multiattach, backend }) => attachable && !multiattach && backend !== 'iscsi',
    );
    assert.ok(image !== undefined && other !== undefined);
    assert.deepEqual(await volumes.snapshots(image.volume_id), []);
    const made = async (): Promise<string> => {
      const body = { snapshot: { volume_id: image.volume_id, name: 'contract' } };
      const answer = await endpoint.request({ method: 'POST', path: '/snapshots', body, repeat: 'unsent' });
      const { snapshot } = answer.body as { snapshot: { id: string; status: string } };
      assert.equal(snapshot.status, 'creating');
      undoAfter(t, () => remove(snapshot.id));
      await eventually('the snapshot is available', async () => {
        const listed = await volumes.snapshots(image.volume_id);
        return listed.find(({ id, status }) => id === snapshot.id && status === 'available');
      });
      return snapshot.id;
    };
    const remove = async (id: string): Promise<void> => {
      const path = `/snapshots/${id}`;
      await endpoint.request({ method: 'DELETE', path, repeat: 'always', accept: [404] });
      await eventually('the snapshot is gone', async () => {
        const listed = await volumes.snapshots(image.volume_id);
        return listed.some((snapshot) => snapshot.id === id) ? undefined : true;
      });
    };
    const [first, second] = [await made(), await made()];
    const listed = await volumes.snapshots(image.volume_id);
    assert.deepEqual(listed.map(({ id }) => id).sort(), [first, second].sort());
    assert.ok(listed.every(({ volumeId }) => volumeId === image.volume_id));
    assert.deepEqual(await volumes.snapshots(other.volume_id), []);
    assert.deepEqual(await volumes.snapshots(randomUUID()), []);
    const outsider = await connect(t, cloud(), { role: 'outsider' });
    assert.deepEqual(await outsider.volumes.snapshots(image.volume_id), []);
    await remove(second);
    assert.deepEqual(
      (await volumes.snapshots(image.volume_id)).map(({ id }) => id),
      [first],
    );
  });
});
