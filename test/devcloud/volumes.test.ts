import assert from 'node:assert/strict';
import { access, stat } from 'node:fs/promises';
import { describe, it } from 'node:test';

import { pick, pickText } from '../../devcloud/json.js';
import { attachmentId, Client, cloudFor, CONNECTOR, firstBytes, messageOf, type Answer } from './client.js';

describe('a volume', () => {
  it('is cloned from another, with its bytes and a type of its own, and deleted', async (t) => {
    const devcloud = await cloudFor(t, { multiattach: false });
    const { volumeId = '' } = await devcloud.addImage({ name: 'web' }, { data: Buffer.from('bytes') });
    const client = await Client.login(devcloud);
    const volume = {
      source_volid: volumeId,
      volume_type: 'local-multi',
      name: 'clone',
      metadata: { a: 'b' },
    };
    const created = await client.cinder('POST', '/volumes', { volume });
    assert.equal(created.status, 202);
    assert.equal(pickText(created.body, 'volume', 'status'), 'creating');
    const id = pickText(created.body, 'volume', 'id') ?? '';
    const { body } = await client.cinder('GET', `/volumes/${id}`);
    assert.equal(pickText(body, 'volume', 'status'), 'available');
    assert.equal(pickText(body, 'volume', 'source_volid'), volumeId);
    assert.equal(pick(body, 'volume', 'multiattach'), true);
    assert.deepEqual(pick(body, 'volume', 'metadata'), { a: 'b' });
    const path = devcloud.cloud.volumes.get(id)?.path ?? '';
    assert.equal((await firstBytes(path, 5)).toString(), 'bytes');
    assert.equal((await client.cinder('DELETE', `/volumes/${id}`)).status, 202);
    assert.equal((await client.cinder('GET', `/volumes/${id}`)).status, 404);
    await assert.rejects(access(path));
  });

  it('is refused a size below its source, no size, an unknown type', async (t) => {
    const devcloud = await cloudFor(t);
    const { volumeId = '' } = await devcloud.addImage({ name: 'big', size: 2 ** 30 + 1 });
    const client = await Client.login(devcloud);
    const create = (volume: object): Promise<Answer> => client.cinder('POST', '/volumes', { volume });
    const small = await create({ source_volid: volumeId, size: 1 });
    assert.equal(small.status, 400);
    assert.match(messageOf(small), /cannot be smaller than original volume size {2}2GB/);
    assert.equal((await create({})).status, 400);
    assert.equal((await create({ size: 1, volume_type: 'gold' })).status, 404);
    assert.equal((await create({ size: 1 })).status, 202);
  });

  it('turns read-only only while available; the flag forces attachments to ro', async (t) => {
    const devcloud = await cloudFor(t);
    const client = await Client.login(devcloud);
    const created = await client.cinder('POST', '/volumes', { volume: { size: 1 } });
    const id = pickText(created.body, 'volume', 'id') ?? '';
    const flag = (readonly: boolean): Promise<Answer> =>
      client.cinder('POST', `/volumes/${id}/action`, { 'os-update_readonly_flag': { readonly } });
    const mode = async (): Promise<string | undefined> => {
      const attached = await client.reserve(id, { mode: 'rw' });
      await client.delete(attachmentId(attached));
      return pickText(attached.body, 'attachment', 'attach_mode');
    };
    assert.equal(await mode(), 'rw');
    assert.equal((await flag(false)).status, 202);
    assert.equal(await mode(), 'ro', 'any value counts, "False" too: that is how Cinder is');
    const { body } = await client.cinder('GET', `/volumes/${id}/metadata`);
    assert.deepEqual(pick(body, 'metadata'), { readonly: 'False' });
    const held = attachmentId(await client.reserve(id));
    assert.equal((await flag(true)).status, 400);
    await client.delete(held);
  });

  it('tells admins more: hosts of attachments and its backend; old releases hide hosts from the service role', async (t) => {
    for (const serviceSeesHosts of [true, false]) {
      const devcloud = await cloudFor(t, { serviceSeesHosts });
      const { volumeId = '' } = await devcloud.addImage({ name: 'web', size: 512 });
      const client = await Client.login(devcloud);
      const admin = await Client.login(devcloud, devcloud.envFor('admin'));
      const id = attachmentId(await client.reserve(volumeId, { connector: CONNECTOR }));
      await client.complete(id);
      const seenBy = async (who: Client): Promise<unknown> => {
        const { body } = await who.cinder('GET', `/volumes/${volumeId}`);
        return (pick(body, 'volume', 'attachments') as { host_name: unknown }[])[0]?.host_name;
      };
      assert.equal(await seenBy(admin), 'test-host');
      assert.equal(await seenBy(client), serviceSeesHosts ? 'test-host' : null);
    }
  });

  it("is not there for another project's member, however they ask", async (t) => {
    const devcloud = await cloudFor(t);
    const { volumeId = '' } = await devcloud.addImage({ name: 'web', size: 512 });
    const client = await Client.login(devcloud);
    const demo = await Client.login(devcloud, devcloud.envFor('demo'));
    const id = attachmentId(await client.reserve(volumeId));
    assert.deepEqual(pick((await demo.cinder('GET', '/volumes/detail?all_tenants=1')).body, 'volumes'), []);
    assert.deepEqual(pick((await demo.cinder('GET', '/attachments')).body, 'attachments'), []);
    for (const [method, path] of [
      ['GET', `/volumes/${volumeId}`],
      ['GET', `/attachments/${id}`],
      ['DELETE', `/attachments/${id}`],
    ] as const) {
      assert.equal((await demo.cinder(method, path)).status, 404, `${method} ${path}`);
    }
    assert.equal((await demo.reserve(volumeId)).status, 404);
    assert.equal((pick((await demo.glance('GET', '/v2/images')).body, 'images') as unknown[]).length, 1);
  });

  it('ends where the image ends when asked to be exact', async (t) => {
    const devcloud = await cloudFor(t, { volumeBytes: 'exact' });
    const { volumeId = '' } = await devcloud.addImage({ name: 'web' }, { data: Buffer.from('12345') });
    const { path = '', sizeGib } = devcloud.cloud.volumes.get(volumeId) ?? {};
    assert.equal((await stat(path)).size, 5);
    assert.equal(sizeGib, 1);
  });
});
