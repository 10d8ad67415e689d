import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { APPLICATION_CREDENTIAL, PROJECTS } from '../../devcloud/identity.js';
import { attachmentId, authenticate, Client, cloudFor, request } from './client.js';
import { assertSameShape, assertSameWords } from './recorded.js';

// The connector the lab sent: one of the recorded refusals quotes it.
const LAB_CONNECTOR = {
  host: 'cinderfs-host',
  ip: '127.0.0.1',
  initiator: 'iqn.2026-11.lab:cinderfs',
  multipath: false,
  os_type: 'linux',
  platform: 'x86_64',
  do_local_attach: false,
  mountpoint: '/mnt/cinderfs',
};
const NOWHERE = '00000000-0000-0000-0000-000000000000';

describe('answers are those recorded from the real services', () => {
  it('Keystone', async (t) => {
    const devcloud = await cloudFor(t);
    const { url } = devcloud;
    assertSameShape(await request('GET', `${url}/identity/v3`), 'keystone-v3');
    assertSameShape(await request('GET', `${url}/identity/`), 'keystone-versions');
    const admin = devcloud.envFor('admin');
    assertSameShape(await authenticate(url, admin), 'keystone-token-admin');
    assertSameWords(await authenticate(url, { ...admin, OS_PASSWORD: 'wrong' }), 'keystone-401-bad-password');
    const { id, secret } = APPLICATION_CREDENTIAL;
    const identity = { methods: ['application_credential'], application_credential: { id, secret } };
    const token = await request('POST', `${url}/identity/v3/auth/tokens`, { auth: { identity } });
    assertSameShape(token, 'keystone-token-appcred');
    const client = await Client.login(devcloud);
    const headers = { 'X-Auth-Token': client.token, 'X-Subject-Token': 'gone' };
    const validated = await request('GET', `${url}/identity/v3/auth/tokens`, undefined, headers);
    assertSameWords(validated, 'keystone-validate-revoked-404');
  });

  it('Glance', async (t) => {
    const devcloud = await cloudFor(t);
    await devcloud.addImage({ name: 'a' }, { data: Buffer.from('a') });
    await devcloud.addImage({ name: 'b' }, { data: Buffer.from('b') });
    await devcloud.addImage({ name: 'c', size: 512, uploadedBy: 'cinder' });
    const client = await Client.login(devcloud);
    assertSameShape(
      await client.glance('GET', '/v2/images?limit=2&sort=name:asc'),
      'glance-images-page-limit2',
    );
    const registered = [...devcloud.cloud.images.values()].find(({ name }) => name === 'c')?.id ?? '';
    assertSameShape(
      await client.glance('GET', `/v2/images/${registered}`),
      'glance-image-demo-iscsi-cinderup',
    );
    assertSameWords(await client.glance('GET', `/v2/images/${NOWHERE}`), 'glance-image-404');
    assertSameWords(await request('GET', `${devcloud.url}/image/v2/images`), 'glance-images-401-no-token');
    assertSameShape(await client.glance('GET', '/v2/info/stores/detail'), 'glance-info-stores-detail');
  });

  it('Cinder: versions, volumes, types', async (t) => {
    const devcloud = await cloudFor(t);
    await devcloud.addImage({ name: 'a', size: 512 });
    // Newest first: these two make the page, as the recorded one began.
    const byCinder = { size: 512, project: 'admin', uploadedBy: 'cinder' } as const;
    for (const name of ['b', 'c']) await devcloud.addImage({ name, ...byCinder });
    const admin = await Client.login(devcloud, devcloud.envFor('admin'));
    const headers = { 'OpenStack-API-Version': 'volume 3.54' };
    assertSameShape(await request('GET', `${devcloud.url}/volume/`, undefined, headers), 'cinder-versions');
    const page = await admin.cinder('GET', '/volumes/detail?all_tenants=1&limit=2');
    assertSameShape(page, 'cinder-volumes-detail-page');
    const reader = await Client.login(devcloud, devcloud.envFor('reader'));
    assertSameShape(await reader.cinder('GET', '/volumes/detail'), 'cinder-volumes-detail-as-reader');
    assertSameWords(await admin.cinder('GET', `/volumes/${NOWHERE}`), 'cinder-volume-404');
    assertSameShape(await admin.cinder('GET', '/types'), 'cinder-types');
  });

  it('Cinder: the life of an attachment', async (t) => {
    const devcloud = await cloudFor(t);
    const { volumeId = '' } = await devcloud.addImage({ name: 'multi', size: 512 });
    const admin = await Client.login(devcloud, devcloud.envFor('admin'));
    const connector = LAB_CONNECTOR;
    const created = await admin.reserve(volumeId, { connector });
    assertSameShape(created, 'rbd-multi-b-attachment-create-ro');
    const id = attachmentId(created);
    const show = (): ReturnType<typeof admin.cinder> => admin.cinder('GET', `/attachments/${id}`);
    assertSameShape(await show(), 'rbd-multi-c-attachment-show');
    const tooSoon = await admin.reserve(volumeId, { connector });
    assertSameWords(tooSoon, 'rbd-multi-e-second-attach-before-complete');
    assertSameShape(await admin.complete(id), 'rbd-multi-f-os-complete');
    assertSameShape(await admin.cinder('GET', `/volumes/${volumeId}`), 'rbd-multi-h-volume-in-use');
    const listed = await admin.cinder('GET', '/attachments/detail?all_tenants=1');
    assertSameShape(listed, 'rbd-multi-k-attachments-detail');
    await admin.reserve(volumeId, { connector });
    assertSameShape(await admin.delete(id), 'rbd-multi-i4-attachment-delete-first-of-two');
    assertSameWords(await admin.delete(id), 'rbd-multi-o-attachment-delete-again-404');
  });

  it('Cinder: a volume that takes one attachment, in two steps', async (t) => {
    const devcloud = await cloudFor(t, { multiattach: false });
    const { volumeId = '' } = await devcloud.addImage({ name: 'single', size: 512 });
    const admin = await Client.login(devcloud, devcloud.envFor('admin'));
    const created = await admin.reserve(volumeId);
    assertSameShape(created, 'two-step-a-create-reserve');
    const id = attachmentId(created);
    assertSameShape(await admin.connect(id, LAB_CONNECTOR), 'two-step-b-put-connector');
    await admin.complete(id);
    assertSameWords(await admin.reserve(volumeId), 'rbd-i-second-attach-after-complete');
    assertSameWords(await admin.cinder('DELETE', `/volumes/${volumeId}`), 'volume-delete-while-attached');
  });

  it('Cinder: an attachment that names a Nova instance is not deleted without a service token', async (t) => {
    const devcloud = await cloudFor(t);
    const { volumeId = '' } = await devcloud.addImage({ name: 'nova', size: 512 });
    const client = await Client.login(devcloud);
    const instance = { instance_uuid: '11111111-2222-3333-4444-555555555555', connector: LAB_CONNECTOR };
    const id = attachmentId(await client.reserve(volumeId, instance));
    assertSameWords(await client.delete(id), 'attach-with-instance_uuid-delete');
    const headers = { 'X-Service-Token': client.token };
    const deleted = await client.cinder('DELETE', `/attachments/${id}`, undefined, headers);
    assert.equal(deleted.status, 200);
  });

  it('Cinder: a refused connector leaves a reserved attachment without connection info', async (t) => {
    const devcloud = await cloudFor(t);
    const { volumeId = '' } = await devcloud.addImage({ name: 'down', size: 512 });
    const client = await Client.login(devcloud);
    devcloud.faults.add({ kind: 'attach-refused', message: '' });
    const refused = await client.reserve(volumeId, { connector: LAB_CONNECTOR });
    assertSameWords(refused, 'backend-down-attach');
    const left = await client.cinder('GET', `/attachments/detail?volume_id=${volumeId}`);
    assertSameWords(left, 'nfs-qcow2-image-c-attachments-after');
    assert.equal(await client.volumeStatus(volumeId), 'reserved');
  });

  it('Cinder: what it refuses', async (t) => {
    const devcloud = await cloudFor(t);
    const { volumeId = '' } = await devcloud.addImage({ name: 'web', size: 512 });
    const client = await Client.login(devcloud);
    const attachment = { volume_uuid: volumeId, connector: LAB_CONNECTOR, mode: 'ro' };
    const post = (
      version: string | undefined,
      more: object = {},
      token = client.token,
    ): ReturnType<typeof request> =>
      request(
        'POST',
        `${devcloud.url}/volume/v3/${client.projectId}/attachments`,
        { attachment: { ...attachment, ...more } },
        {
          'X-Auth-Token': token,
          ...(version === undefined ? {} : { 'OpenStack-API-Version': `volume ${version}` }),
        },
      );
    assertSameWords(await post('3.44'), 'microversion-3.44-with-mode');
    assertSameWords(await post('3.26'), 'microversion-3.26-404');
    assertSameWords(await post('3.999'), 'microversion-3.999-406');
    assertSameWords(await post('bogus'), 'microversion-bogus-400');
    assertSameWords(await post('3.54', { mode: 'xx' }), 'mode-invalid-400');
    assertSameWords(await post('3.54', { volume_uuid: NOWHERE }), 'volume-404');
    assertSameWords(await post('3.54', { volume_uuid: 'not-a-uuid' }), 'volume-id-invalid-400');
    assertSameWords(await post('3.54', {}, 'gAAAAABgarbage'), '401-garbage-token');
    const stranger = new Client(client.url, client.token, PROJECTS.demo.id);
    assertSameWords(await stranger.reserve(volumeId), 'project-id-in-url-differs-from-token');
    assert.equal((await post(undefined)).headers.get('openstack-api-version'), 'volume 3.0');
    assert.equal(devcloud.cloud.attachments.size, 0);
  });
});
