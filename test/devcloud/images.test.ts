import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { pick, pickText } from '../../devcloud/json.js';
import {
  attachmentId,
  Client,
  cloudFor,
  CONNECTOR,
  firstBytes,
  request,
  temporaryDirectory,
} from './client.js';

interface Listed {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  readonly disk_format: string;
  readonly os_hash_value: string | null;
  readonly direct_url: string;
}

async function listed(client: Client): Promise<Listed[]> {
  return pick((await client.glance('GET', '/v2/images?sort=name:asc')).body, 'images') as Listed[];
}

const volumeOf = (image: Listed | undefined): string => image?.direct_url.split('/').at(-1) ?? '';

describe('a file in DIR/images', () => {
  it('is an image with its size, format and hash, in a sparse volume that begins with its bytes', async (t) => {
    const dir = await temporaryDirectory(t);
    await mkdir(join(dir, 'images'));
    const bytes = Buffer.concat([Buffer.from('head'), Buffer.alloc(3 * 2 ** 20), Buffer.from('tail')]);
    const file = join(dir, 'images', 'web.raw');
    await writeFile(file, bytes);
    const devcloud = await cloudFor(t, { dir });
    const client = await Client.login(devcloud);
    const [image] = await listed(client);
    assert.equal(image?.name, 'web');
    assert.equal(image.size, bytes.length);
    assert.equal(image.disk_format, 'raw');
    assert.equal(image.os_hash_value, createHash('sha512').update(bytes).digest('hex'));
    const path = devcloud.cloud.volumes.get(volumeOf(image))?.path ?? '';
    const { size, blocks } = await stat(path);
    assert.equal(size, 2 ** 30);
    assert.ok(blocks * 512 < 2 ** 21 + 2 ** 20, `${blocks} blocks: zeros must be holes`);
    assert.deepEqual(await firstBytes(path, bytes.length), bytes);
    assert.deepEqual(await readFile(file), bytes, 'the original is untouched');
  });

  it('may come later, is ignored while it is written, and goes when it is removed', async (t) => {
    const dir = await temporaryDirectory(t);
    const client = await Client.login(await cloudFor(t, { dir }));
    const path = join(dir, 'images', 'late.qcow2');
    await writeFile(`${path}.part`, 'half');
    assert.deepEqual(await listed(client), []);
    await rename(`${path}.part`, path);
    const [image] = await listed(client);
    assert.equal(image?.disk_format, 'qcow2');
    await rm(path);
    assert.deepEqual(await listed(client), []);
    assert.equal((await client.cinder('GET', `/volumes/${volumeOf(image)}`)).status, 404);
  });

  it('that changes is another image of the same name: bytes behind an id never change', async (t) => {
    const dir = await temporaryDirectory(t);
    const client = await Client.login(await cloudFor(t, { dir }));
    const path = join(dir, 'images', 'web.raw');
    await writeFile(path, 'one');
    const [before] = await listed(client);
    await writeFile(path, 'two!');
    const [after, ...rest] = await listed(client);
    assert.deepEqual(rest, []);
    assert.notEqual(after?.id, before?.id);
    assert.equal(after?.size, 4);
  });

  it('is said more about by a sidecar', async (t) => {
    const dir = await temporaryDirectory(t);
    const devcloud = await cloudFor(t, { dir });
    const spec = {
      name: 'a/b\n…',
      multiattach: false,
      location: 'bare',
      status: 'deactivated',
      project: 'demo',
    };
    await writeFile(join(dir, 'images', 'odd.json'), JSON.stringify(spec));
    await writeFile(join(dir, 'images', 'odd.raw'), 'bytes');
    const client = await Client.login(devcloud);
    const [image] = await listed(client);
    assert.equal(image?.name, spec.name);
    assert.match(image.direct_url, /^cinder:\/\/[0-9a-f-]{36}$/);
    assert.equal((await client.cinder('GET', `/volumes/${volumeOf(image)}`)).status, 404, "it is demo's");
    const demo = await Client.login(devcloud, devcloud.envFor('demo'));
    const { body } = await demo.cinder('GET', `/volumes/${volumeOf(image)}`);
    assert.equal(pick(body, 'volume', 'multiattach'), false);
  });
});

describe('an image', () => {
  it('gives its volume and its store in either location form, or is not in Cinder at all', async (t) => {
    const devcloud = await cloudFor(t);
    await devcloud.addImage({ name: 'a', size: 1 });
    await devcloud.addImage({ name: 'b', size: 1, location: 'bare' });
    await devcloud.addImage({ name: 'c', size: 1, store: 'file' });
    const client = await Client.login(devcloud);
    const urls = (await listed(client)).map(({ direct_url }) => direct_url.replace(/[0-9a-f-]{36}$/, 'ID'));
    assert.deepEqual(urls, ['cinder://cinder-multi/ID', 'cinder://ID', 'file:///var/lib/glance/images/ID']);
    assert.equal(devcloud.cloud.volumes.size, 2);
  });

  it('keeps its locations to the service role when Glance hides them', async (t) => {
    const devcloud = await cloudFor(t, { showLocations: false });
    const { id } = await devcloud.addImage({ name: 'a', size: 1 });
    const client = await Client.login(devcloud);
    const { body } = await client.glance('GET', `/v2/images/${id}`);
    assert.equal(pick(body, 'locations'), undefined);
    assert.equal(pick(body, 'direct_url'), undefined);
    assert.equal(pickText(body, 'stores'), 'cinder-multi');
    const [location] = (await client.glance('GET', `/v2/images/${id}/locations`)).body as { url: string }[];
    assert.match(location?.url ?? '', /^cinder:\/\/cinder-multi\//);
    const demo = await Client.login(devcloud, devcloud.envFor('demo'));
    assert.equal((await demo.glance('GET', `/v2/images/${id}/locations`)).status, 403);
  });

  it('is downloaded whole or in part, but not while a single-attach volume is held or when deactivated', async (t) => {
    const devcloud = await cloudFor(t, { multiattach: false });
    const { id, volumeId = '' } = await devcloud.addImage({ name: 'a' }, { data: Buffer.from('0123456789') });
    const client = await Client.login(devcloud);
    const file = `/v2/images/${id}/file`;
    assert.equal((await client.glance('GET', file)).body, '0123456789');
    const part = await client.glance('GET', file, { Range: 'bytes=2-4' });
    assert.equal(part.status, 206);
    assert.equal(part.body, '234');
    assert.equal(part.headers.get('content-range'), 'bytes 2-4/10');
    assert.equal((await client.glance('GET', file, { Range: 'bytes=10-' })).status, 416);
    const held = attachmentId(await client.reserve(volumeId, { connector: CONNECTOR }));
    assert.equal((await client.glance('GET', file)).status, 500);
    await client.delete(held);
    devcloud.adminFaults.setImageStatus(id, 'deactivated');
    assert.equal((await client.glance('GET', file)).status, 403);
  });

  it('is deleted by its owner only, and not while its volume is attached: 500, and it stays active', async (t) => {
    const devcloud = await cloudFor(t);
    const { id, volumeId = '' } = await devcloud.addImage({ name: 'a', size: 1 });
    const client = await Client.login(devcloud);
    const admin = await Client.login(devcloud, devcloud.envFor('admin'));
    const held = attachmentId(await client.reserve(volumeId));
    assert.equal((await client.glance('DELETE', `/v2/images/${id}`)).status, 403);
    assert.equal((await admin.glance('DELETE', `/v2/images/${id}`)).status, 500);
    assert.equal(pickText((await client.glance('GET', `/v2/images/${id}`)).body, 'status'), 'active');
    await client.delete(held);
    const path = devcloud.cloud.volumes.get(volumeId)?.path ?? '';
    assert.equal((await admin.glance('DELETE', `/v2/images/${id}`)).status, 204);
    assert.equal((await client.glance('GET', `/v2/images/${id}`)).status, 404);
    await assert.rejects(access(path), 'the volume is gone with it');
  });
});

describe('behind the back of a reader', () => {
  it('an image is deactivated, replaced, deleted; its volume lives until the last attachment goes', async (t) => {
    const devcloud = await cloudFor(t);
    const { id, volumeId = '' } = await devcloud.addImage({ name: 'web', size: 512 });
    const client = await Client.login(devcloud);
    const act = (verb: string): ReturnType<typeof request> =>
      request('POST', `${devcloud.url}/_devcloud/images/web/${verb}`, {});
    const held = attachmentId(await client.reserve(volumeId));
    assert.equal((await act('deactivate')).status, 204);
    assert.equal(devcloud.cloud.images.get(id)?.status, 'deactivated');
    const replaced = await act('replace');
    assert.equal(replaced.status, 201);
    assert.notEqual(pickText(replaced.body, 'id'), id);
    assert.equal((await act('delete')).status, 204);
    assert.equal((await act('delete')).status, 404);
    assert.deepEqual(await listed(client), []);
    assert.equal(await client.volumeStatus(volumeId), 'reserved');
    assert.equal((await request('POST', `${devcloud.url}/_devcloud/attachments/${held}/detach`)).status, 204);
    assert.equal((await client.cinder('GET', `/volumes/${volumeId}`)).status, 404);
  });

  it("a volume's path serves another volume's bytes, under open descriptors or not", async (t) => {
    const devcloud = await cloudFor(t, { volumeBytes: 'exact' });
    const mine = await devcloud.addImage({ name: 'mine' }, { data: Buffer.from('mine') });
    const other = await devcloud.addImage({ name: 'other' }, { data: Buffer.from('evil') });
    const { path = '' } = devcloud.cloud.volumes.get(mine.volumeId ?? '') ?? {};
    const { ino } = await stat(path);
    const swap = (inPlace: boolean): ReturnType<typeof request> =>
      request('POST', `${devcloud.url}/_devcloud/volumes/${String(mine.volumeId)}/swap`, {
        volume: other.volumeId,
        inPlace,
      });
    assert.equal((await swap(true)).status, 204);
    assert.equal((await firstBytes(path, 4)).toString(), 'evil');
    assert.equal((await stat(path)).ino, ino);
    assert.equal((await swap(false)).status, 204);
    assert.notEqual((await stat(path)).ino, ino);
  });
});
