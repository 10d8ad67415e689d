import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Faults, type FaultSpec } from '../../devcloud/faults.js';
import { pick, pickText } from '../../devcloud/json.js';
import { attachmentId, Client, cloudFor, CONNECTOR, messageOf, request, type Answer } from './client.js';

const CREATE = { service: 'cinder', method: 'POST', path: '/attachments' } as const;

describe('a fault', () => {
  const call = { method: 'GET', resource: '/images' };

  it('strikes the requests it is meant for, so often', () => {
    const faults = new Faults();
    faults.add({ kind: 'drop', service: 'glance', method: 'get', path: '/images*', count: 2 });
    assert.equal(faults.take('cinder', call, 'drop'), undefined);
    assert.equal(faults.take('glance', { ...call, method: 'POST' }, 'drop'), undefined);
    assert.equal(faults.take('glance', { ...call, resource: '/info' }, 'drop'), undefined);
    assert.equal(faults.take('glance', call, 'hang'), undefined);
    assert.notEqual(faults.take('glance', { ...call, resource: '/images/x/file' }, 'drop'), undefined);
    assert.notEqual(faults.take('glance', call, 'drop'), undefined);
    assert.equal(faults.take('glance', call, 'drop'), undefined);
    assert.equal(faults.list()[0]?.fired, 2);
  });

  it('strikes by chance, the same way for the same seed', () => {
    const pattern = (seed: number): string => {
      const faults = new Faults();
      faults.add({ kind: 'drop', probability: 0.3, seed });
      return Array.from({ length: 200 }, () => (faults.take('glance', call, 'drop') ? 'x' : '.')).join('');
    };
    assert.equal(pattern(7), pattern(7));
    assert.notEqual(pattern(7), pattern(8));
    const struck = pattern(7).replaceAll('.', '').length;
    assert.ok(struck > 30 && struck < 90, `${struck} of 200`);
  });

  it('that makes no sense is refused', () => {
    const faults = new Faults();
    const wrong: object[] = [{ kind: 'boom' }, { kind: 'drop', count: 0 }, { kind: 'drop', probability: 2 }];
    for (const spec of [...wrong, { kind: 'latency' }]) {
      assert.throws(() => faults.add(spec as FaultSpec), TypeError, JSON.stringify(spec));
    }
  });
});

describe('faults on demand', () => {
  it('are set, listed and removed over HTTP', async (t) => {
    const { url } = await cloudFor(t);
    const set = (spec: object): Promise<Answer> => request('POST', `${url}/_devcloud/faults`, spec);
    const list = async (): Promise<unknown[]> =>
      pick((await request('GET', `${url}/_devcloud/faults`)).body, 'faults') as unknown[];
    const id = pickText((await set({ kind: 'drop' })).body, 'id');
    await set({ kind: 'hang' });
    assert.equal((await set({ kind: 'boom' })).status, 400);
    assert.equal((await list()).length, 2);
    assert.equal((await request('DELETE', `${url}/_devcloud/faults/${String(id)}`)).status, 204);
    assert.equal((await list()).length, 1);
    await request('DELETE', `${url}/_devcloud/faults`);
    assert.equal((await list()).length, 0);
  });

  it("an error comes in the service's own dress and nothing happens", async (t) => {
    const { devcloud, client, volumeId } = await oneVolume(t);
    devcloud.faults.add({ kind: 'status', count: 3 });
    const cinder = await client.reserve(volumeId);
    assert.equal(cinder.status, 503);
    assert.ok(pick(cinder.body, 'serviceUnavailable', 'code') === 503);
    assert.match(cinder.headers.get('x-openstack-request-id') ?? '', /^req-/);
    assert.equal(devcloud.cloud.attachments.size, 0);
    const glance = await client.glance('GET', '/v2/images');
    assert.equal(pickText(glance.body, 'code'), '503 Service Unavailable');
    const keystone = await request('GET', `${devcloud.url}/identity/v3`);
    assert.equal(pick(keystone.body, 'error', 'code'), 503);
    assert.equal((await client.reserve(volumeId)).status, 200);
  });

  it('a dropped connection hides what happened: nothing, or all of it', async (t) => {
    const { devcloud, client, volumeId } = await oneVolume(t);
    devcloud.faults.add({ ...CREATE, kind: 'drop', count: 1 });
    await assert.rejects(client.reserve(volumeId));
    assert.equal(devcloud.cloud.attachments.size, 0);
    devcloud.faults.add({ ...CREATE, kind: 'drop-after', count: 1 });
    await assert.rejects(client.reserve(volumeId));
    assert.equal(devcloud.cloud.attachments.size, 1);
    assert.equal(await client.volumeStatus(volumeId), 'reserved');
    assert.deepEqual(
      devcloud.requests.find(CREATE_FILTER).map(({ status }) => status),
      [0, 0],
    );
  });

  it('a request may be answered late, or never', async (t) => {
    const { devcloud, client, volumeId } = await oneVolume(t);
    devcloud.faults.add({ kind: 'latency', delayMs: 60, service: 'glance', count: 1 });
    const started = performance.now();
    await client.glance('GET', '/v2/images');
    assert.ok(performance.now() - started >= 55);
    devcloud.faults.add({ ...CREATE, kind: 'hang-after', count: 1 });
    const impatient = fetch(`${devcloud.url}/volume/v3/attachments`, {
      method: 'POST',
      headers: { 'X-Auth-Token': client.token, 'OpenStack-API-Version': 'volume 3.54' },
      body: JSON.stringify({ attachment: { volume_uuid: volumeId } }),
      signal: AbortSignal.timeout(200),
    });
    await assert.rejects(impatient, { name: 'TimeoutError' });
    assert.equal(devcloud.cloud.attachments.size, 1, 'it took effect all the same');
  });

  it('a token expires under a request, and a new one works', async (t) => {
    const { devcloud, client } = await oneVolume(t);
    devcloud.faults.add({ kind: 'expire-token', service: 'cinder', count: 1 });
    assert.equal((await client.cinder('GET', '/volumes')).status, 401);
    assert.equal((await client.glance('GET', '/v2/images')).status, 401);
    const again = await Client.login(devcloud);
    assert.equal((await again.cinder('GET', '/volumes')).status, 200);
  });

  it('a backend refuses the connector: 500 with a reason, and the reservation stays until it is deleted', async (t) => {
    const { devcloud, client, volumeId } = await oneVolume(t);
    const id = attachmentId(await client.reserve(volumeId));
    devcloud.faults.add({ kind: 'attach-refused', message: 'no such initiator', count: 1 });
    const refused = await client.connect(id);
    assert.equal(refused.status, 500);
    assert.equal(messageOf(refused), 'Unable to update attachment.(no such initiator).');
    assert.equal(await client.volumeStatus(volumeId), 'reserved');
    assert.equal((await client.connect(id)).status, 200);
    await client.delete(id);
    devcloud.faults.add({ kind: 'connector-conflict', count: 1 });
    const second = attachmentId(await client.reserve(volumeId));
    assert.equal((await client.connect(second)).status, 409);
  });

  it('a backend is slow, and others find the volume reserved meanwhile; or it never answers', async (t) => {
    const { devcloud, client, volumeId } = await oneVolume(t);
    devcloud.faults.add({ kind: 'attach-slow', delayMs: 150, count: 1 });
    const slow = client.reserve(volumeId, { connector: CONNECTOR });
    while (devcloud.cloud.attachments.size === 0) await client.volumeStatus(volumeId);
    assert.equal(await client.volumeStatus(volumeId), 'reserved');
    assert.equal((await client.reserve(volumeId)).status, 400);
    await client.delete(attachmentId(await slow));
    devcloud.faults.add({ kind: 'attach-stuck', count: 1 });
    const id = attachmentId(await client.reserve(volumeId));
    const connecting = assert.rejects(client.connect(id));
    while ((await client.volumeStatus(volumeId)) !== 'attaching');
    await devcloud.close();
    await connecting;
  });
});

describe('the request log', () => {
  it('says what was asked, with ids folded, and is cleared', async (t) => {
    const { devcloud, client, volumeId } = await oneVolume(t);
    devcloud.requests.clear();
    const id = attachmentId(await client.reserve(volumeId));
    await client.complete(id);
    await client.delete(id);
    const expected = {
      'cinder POST /attachments': 1,
      'cinder POST /attachments/*/action': 1,
      'cinder DELETE /attachments/*': 1,
    };
    const { body } = await request('GET', `${devcloud.url}/_devcloud/requests`);
    assert.deepEqual(pick(body, 'counts'), expected);
    assert.equal(devcloud.requests.count(CREATE_FILTER), 1);
    assert.equal(devcloud.requests.count({ service: 'glance' }), 0);
    assert.deepEqual(
      devcloud.requests.entries.map(({ status }) => status),
      [200, 204, 200],
    );
    await request('DELETE', `${devcloud.url}/_devcloud/requests`);
    assert.equal(devcloud.requests.count(), 0);
  });
});

const CREATE_FILTER = { service: 'cinder', method: 'POST', resource: '/attachments' } as const;

async function oneVolume(t: Parameters<typeof cloudFor>[0]): Promise<{
  devcloud: Awaited<ReturnType<typeof cloudFor>>;
  client: Client;
  volumeId: string;
}> {
  const devcloud = await cloudFor(t);
  const { volumeId = '' } = await devcloud.addImage({ name: 'web', size: 512 });
  return { devcloud, client: await Client.login(devcloud), volumeId };
}
