import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { pick, pickText } from '../../devcloud/json.js';
import { Client, cloudFor, messageOf, request } from './client.js';

const NAMES = Array.from({ length: 7 }, (_, index) => `image-${index}`);

async function sevenImages(t: Parameters<typeof cloudFor>[0], pageLimit?: number): Promise<Client> {
  const devcloud = await cloudFor(t, pageLimit === undefined ? {} : { pageLimit });
  for (const name of NAMES) await devcloud.addImage({ name, size: 512 });
  return Client.login(devcloud);
}

const namesIn = (body: unknown, list: string): string[] =>
  (pick(body, list) as { name: string }[]).map(({ name }) => name);

describe('paging', () => {
  it('of images follows next to the end, newest first, through links without a prefix', async (t) => {
    const client = await sevenImages(t);
    const seen: string[] = [];
    let path: string | undefined = '/v2/images?limit=3';
    let pages = 0;
    while (path !== undefined) {
      const { body } = await client.glance('GET', path);
      seen.push(...namesIn(body, 'images'));
      path = pickText(body, 'next');
      assert.ok(path?.startsWith('/v2/images?limit=3&marker=') ?? true, path);
      pages += 1;
    }
    assert.deepEqual(seen, NAMES.toReversed());
    assert.equal(pages, 3);
  });

  it('of images has a next on a full last page, which is empty: Glance does not look ahead', async (t) => {
    const client = await sevenImages(t);
    const full = await client.glance('GET', '/v2/images?limit=7');
    const next = pickText(full.body, 'next') ?? '';
    assert.deepEqual(pick((await client.glance('GET', next)).body, 'images'), []);
  });

  it('of volumes follows volumes_links, with and without the project in the URL', async (t) => {
    const client = await sevenImages(t);
    const headers = { 'X-Auth-Token': client.token, 'OpenStack-API-Version': 'volume 3.67' };
    for (const project of [`/${client.projectId}`, '']) {
      let url: string | undefined = `${client.url}/volume/v3${project}/volumes/detail?limit=4`;
      let seen = 0;
      while (url !== undefined) {
        const { body } = await request('GET', url, undefined, headers);
        seen += namesIn(body, 'volumes').length;
        const [link] = (pick(body, 'volumes_links') ?? []) as { href: string }[];
        url = link?.href;
        assert.ok(url === undefined || url.includes(`/v3${project}/volumes/detail?`), url);
      }
      assert.equal(seen, NAMES.length);
    }
  });

  it('is limited by the cloud, whatever the client asks', async (t) => {
    const client = await sevenImages(t, 2);
    assert.equal(namesIn((await client.glance('GET', '/v2/images?limit=1000')).body, 'images').length, 2);
    assert.equal(namesIn((await client.glance('GET', '/v2/images')).body, 'images').length, 2);
    const { body } = await client.cinder('GET', '/volumes/detail?limit=1000');
    assert.equal(namesIn(body, 'volumes').length, 2);
    assert.notEqual(pick(body, 'volumes_links'), undefined);
  });

  it('refuses a marker that is nowhere and a limit that is no number', async (t) => {
    const client = await sevenImages(t);
    const marker = '00000000-0000-0000-0000-000000000000';
    assert.equal((await client.glance('GET', `/v2/images?marker=${marker}`)).status, 400);
    assert.equal((await client.cinder('GET', `/volumes/detail?marker=${marker}`)).status, 404);
    assert.equal((await client.cinder('GET', '/volumes/detail?limit=x')).status, 400);
    assert.equal((await client.glance('GET', '/v2/images?limit=-1')).status, 400);
  });
});

describe('filters', () => {
  it('of images: status, name, hidden, visibility, sort', async (t) => {
    const devcloud = await cloudFor(t);
    await devcloud.addImage({ name: 'a', size: 1 });
    await devcloud.addImage({ name: 'b', size: 2, status: 'deactivated' });
    await devcloud.addImage({ name: 'c', size: 3, hidden: true });
    await devcloud.addImage({ name: 'd', size: 4, visibility: 'private' });
    await devcloud.addImage({ name: 'e', size: 5, visibility: 'community' });
    await devcloud.addImage({ name: 'f', status: 'queued', size: null });
    const client = await Client.login(devcloud);
    const list = async (query: string): Promise<string> =>
      namesIn((await client.glance('GET', `/v2/images${query}`)).body, 'images').join('');
    assert.equal(await list(''), 'fba');
    assert.equal(await list('?status=active'), 'a');
    assert.equal(await list('?status=in:active,deactivated&sort=name:asc'), 'ab');
    assert.equal(await list('?os_hidden=true'), 'c');
    assert.equal(await list('?visibility=community'), 'e');
    assert.equal(await list('?name=b'), 'b');
    assert.equal(await list('?size_min=2'), 'b');
    assert.equal(await list('?sort_key=size&sort_dir=asc'), 'fab');
    const admin = await Client.login(devcloud, devcloud.envFor('admin'));
    assert.equal(namesIn((await admin.glance('GET', '/v2/images')).body, 'images').join(''), 'fedba');
  });

  it('of volumes: name, status, metadata; an unknown one is refused from 3.31 on, but to admins', async (t) => {
    const devcloud = await cloudFor(t);
    const image = await devcloud.addImage({ name: 'a', size: 1 });
    await devcloud.addImage({ name: 'b', size: 1, volumeStatus: 'error' });
    const client = await Client.login(devcloud);
    const count = async (query: string, headers = {}): Promise<number> => {
      const answer = await client.cinder('GET', `/volumes/detail?${query}`, undefined, headers);
      assert.equal(answer.status, 200, messageOf(answer));
      return (pick(answer.body, 'volumes') as unknown[]).length;
    };
    assert.equal(await count(`name=image-${image.id}`), 1);
    assert.equal(await count('status=error'), 1);
    assert.equal(await count(`metadata=${encodeURIComponent(`{'glance_image_id':'${image.id}'}`)}`), 1);
    assert.equal(await count('metadata=nonsense'), 0);
    assert.equal(await count('colour=red', { 'OpenStack-API-Version': 'volume 3.30' }), 2);
    const refused = await client.cinder('GET', '/volumes/detail?colour=red');
    assert.equal(refused.status, 400);
    assert.equal(messageOf(refused), 'Invalid filters colour are found in query options.');
    const counted = await client.cinder('GET', '/volumes/detail?with_count=true&limit=1');
    assert.equal(pick(counted.body, 'count'), 2);
  });

  it('of attachments: volume_id and attach_status work, status finds nothing, as in the real one', async (t) => {
    const devcloud = await cloudFor(t);
    const { volumeId = '' } = await devcloud.addImage({ name: 'a', size: 1 });
    const { volumeId: other = '' } = await devcloud.addImage({ name: 'b', size: 1 });
    const client = await Client.login(devcloud);
    await client.reserve(volumeId);
    const count = async (query: string): Promise<number> => {
      const { body } = await client.cinder('GET', `/attachments?${query}`);
      return (pick(body, 'attachments') as unknown[]).length;
    };
    assert.equal(await count(`volume_id=${volumeId}`), 1);
    assert.equal(await count(`volume_id=${other}`), 0);
    assert.equal(await count('attach_status=reserved'), 1);
    assert.equal(await count('status=reserved'), 0);
  });
});
