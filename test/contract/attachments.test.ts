import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import type { Openstack } from '../../src/cinder/openstack.js';
import type { Attachment, ConnectorProperties } from '../../src/cinder/contract/attachments.js';
import { CinderfsError } from '../../src/errors.js';
import { cloudForSuite, connect, undoAfter, type KnownImage } from './cloud-under-test.js';

const CONNECTOR: ConnectorProperties = {
  host: 'contract-host',
  ip: '127.0.0.1',
  initiator: 'iqn.2026-11.test:contract',
  platform: 'x86_64',
  os_type: 'linux',
  multipath: false,
  mountpoint: 'contract',
  mode: 'ro',
};

function failure(code: string, status: number): (error: unknown) => boolean {
  return (error) => {
    assert.ok(CinderfsError.is(error), String(error));
    assert.equal(error.code, code, error.toLine());
    assert.equal(error.context.status, status);
    assert.match(error.context.requestId ?? '', /^req-[0-9a-f-]{36}$/);
    return true;
  };
}

describe('an attachment', () => {
  const cloud = cloudForSuite();

  const image = (wanted: Partial<KnownImage>): KnownImage => {
    const found = cloud().images.find((candidate) =>
      Object.entries(wanted).every(([key, value]) => candidate[key as keyof KnownImage] === value),
    );
    assert.ok(found !== undefined, `an image with ${JSON.stringify(wanted)}`);
    return found;
  };

  /** Reserves the volume; the attachment goes when the test ends. */
  const reserve = async (t: TestContext, openstack: Openstack, volumeId: string): Promise<Attachment> => {
    const attachment = await openstack.attachments.create(volumeId);
    undoAfter(t, () => openstack.attachments.delete(attachment.id));
    return attachment;
  };

  it('goes from reserved over attaching to attached, and then the volume is free again', async (t) => {
    const openstack = await connect(t, cloud());
    const { attachments, volumes } = openstack;
    const { volume_id: volumeId } = image({ attachable: true, multiattach: false });
    const status = async (): Promise<string> => (await volumes.show(volumeId)).status;

    const reserved = await reserve(t, openstack, volumeId);
    assert.deepEqual(
      { ...reserved, id: undefined },
      {
        id: undefined,
        volumeId,
        status: 'reserved',
        attachMode: 'ro',
        instanceId: undefined,
        connectionInfo: undefined,
      },
    );
    assert.equal(await status(), 'reserved');

    const updated = await attachments.update(reserved.id, CONNECTOR);
    assert.ok((updated.connectionInfo?.driver_volume_type.length ?? 0) > 0);
    assert.equal((await attachments.show(reserved.id)).status, 'attaching');
    assert.equal(await status(), 'attaching');

    await attachments.complete(reserved.id);
    await attachments.complete(reserved.id);
    const shown = await attachments.show(reserved.id);
    assert.equal(shown.status, 'attached');
    assert.deepEqual(shown.connectionInfo, updated.connectionInfo);
    const inUse = await volumes.show(volumeId);
    assert.equal(inUse.status, 'in-use');
    assert.deepEqual(
      inUse.attachments.map(({ attachmentId, device }) => ({ attachmentId, device })),
      [{ attachmentId: reserved.id, device: CONNECTOR.mountpoint }],
    );
    const listed = await attachments.listForVolume(volumeId);
    assert.deepEqual(
      listed.map(({ id }) => id),
      [reserved.id],
    );

    await attachments.delete(reserved.id);
    await attachments.delete(reserved.id);
    await assert.rejects(attachments.show(reserved.id), failure('not_found', 404));
    assert.equal(await status(), 'available');
    assert.deepEqual(await attachments.listForVolume(volumeId), []);
  });

  it('takes the same connector again', async (t) => {
    const openstack = await connect(t, cloud());
    const { id } = await reserve(t, openstack, image({ attachable: true, multiattach: false }).volume_id);
    const first = await openstack.attachments.update(id, CONNECTOR);
    const second = await openstack.attachments.update(id, CONNECTOR);
    assert.deepEqual(second.connectionInfo, first.connectionInfo);
  });

  it('is a conflict while another holds a volume that is not multiattach', async (t) => {
    const openstack = await connect(t, cloud());
    const { attachments } = openstack;
    const { volume_id: volumeId } = image({ attachable: true, multiattach: false });
    const { id } = await reserve(t, openstack, volumeId);
    await assert.rejects(attachments.create(volumeId), failure('conflict', 400));
    await attachments.update(id, CONNECTOR);
    await assert.rejects(attachments.create(volumeId), failure('conflict', 400));
    await attachments.complete(id);
    await assert.rejects(attachments.create(volumeId), failure('conflict', 400));
  });

  it('is a conflict on a multiattach volume only until the first is complete', async (t) => {
    const openstack = await connect(t, cloud());
    const { attachments, volumes } = openstack;
    const { volume_id: volumeId } = image({ attachable: true, multiattach: true });
    const first = await reserve(t, openstack, volumeId);
    await assert.rejects(attachments.create(volumeId), failure('conflict', 400));
    await attachments.update(first.id, CONNECTOR);
    await assert.rejects(attachments.create(volumeId), failure('conflict', 400));
    await attachments.complete(first.id);
    const second = await reserve(t, openstack, volumeId);
    await attachments.update(second.id, { ...CONNECTOR, host: 'contract-other' });
    await attachments.complete(second.id);
    assert.equal((await volumes.show(volumeId)).attachments.length, 2);
    await attachments.delete(first.id);
    assert.equal((await volumes.show(volumeId)).status, 'in-use');
    await attachments.delete(second.id);
    assert.equal((await volumes.show(volumeId)).status, 'available');
  });

  it('is refused with the reason and the request id when the backend fails, and can then be deleted', async (t) => {
    const openstack = await connect(t, cloud());
    const { attachments, volumes } = openstack;
    const { volume_id: volumeId } = image({ attachable: false });
    cloud().refuseExports();
    const { id } = await reserve(t, openstack, volumeId);
    await assert.rejects(attachments.update(id, CONNECTOR), failure('attach_refused', 500));
    assert.equal((await attachments.show(id)).status, 'reserved', 'Cinder rolls nothing back');
    await attachments.delete(id);
    assert.equal((await volumes.show(volumeId)).status, 'available');
  });

  it('that is not there is not_found, and deleting it is success', async (t) => {
    const { attachments } = await connect(t, cloud());
    await assert.rejects(attachments.show(randomUUID()), failure('not_found', 404));
    await assert.rejects(attachments.complete(randomUUID()), failure('not_found', 404));
    await assert.rejects(attachments.update(randomUUID(), CONNECTOR), failure('not_found', 404));
    await attachments.delete(randomUUID());
  });

  it('of a volume that is not there is not_found', async (t) => {
    const { attachments } = await connect(t, cloud());
    await assert.rejects(attachments.create(randomUUID()), failure('not_found', 404));
    assert.deepEqual(await attachments.listForVolume(randomUUID()), []);
  });

  it('asked for in a way Cinder does not understand is refused, not retried', async (t) => {
    const { attachments } = await connect(t, cloud());
    await assert.rejects(attachments.create('not-a-uuid'), failure('attach_refused', 400));
  });

  it('of another project is listed for an admin', async (t) => {
    const openstack = await connect(t, cloud());
    const admin = await connect(t, cloud(), { role: 'admin' });
    const { volume_id: volumeId } = image({ attachable: true, multiattach: true });
    const { id } = await reserve(t, openstack, volumeId);
    const listed = await admin.attachments.listForVolume(volumeId);
    assert.deepEqual(
      listed.map((attachment) => attachment.id),
      [id],
    );
  });
});
