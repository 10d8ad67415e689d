import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { connectOpenstack, type Openstack } from '../../src/cinder/openstack.js';
import { loadCloud } from '../../src/config/cloud.js';
import { loadConfig } from '../../src/config/load.js';
import { startDevcloud, type Devcloud, type DevcloudOptions } from '../../devcloud/devcloud.js';
import { CinderfsError } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { temporaryFolder } from '../support/temporary.js';

const CONNECTOR = { host: 'h', ip: '127.0.0.1', platform: 'x86_64', os_type: 'linux', multipath: false };

interface Harness {
  readonly devcloud: Devcloud;
  readonly openstack: Openstack;
}

async function harness(t: TestContext, options: Partial<DevcloudOptions> = {}): Promise<Harness> {
  const devcloud = await startDevcloud({ dir: await temporaryFolder(t), ...options });
  t.after(() => devcloud.close());
  const loaded = loadConfig({ flags: { 'config-file': '/dev/null' }, env: devcloud.env });
  const cloud = loadCloud({ loaded, env: devcloud.env, directory: '/nowhere' });
  const openstack = await connectOpenstack({ cloud, config: loaded.config, log: silentLog });
  t.after(() => openstack.close());
  return { devcloud, openstack };
}

async function volumeOf(devcloud: Devcloud): Promise<string> {
  const { volumeId } = await devcloud.addImage({ name: 'web', size: 1000 });
  assert.ok(volumeId !== undefined);
  return volumeId;
}

describe('attachments on a bad network', () => {
  it('find the connection info of an update whose answer was lost', async (t) => {
    const { devcloud, openstack } = await harness(t);
    const { id } = await openstack.attachments.create(await volumeOf(devcloud));
    devcloud.faults.add({ kind: 'drop-after', method: 'PUT', path: '/attachments/*', count: 1 });
    const updated = await openstack.attachments.update(id, CONNECTOR);
    assert.equal(updated.connectionInfo?.driver_volume_type, 'local');
    assert.equal(devcloud.requests.count({ method: 'PUT' }), 1, 'nothing is repeated that has happened');
  });

  it('repeat an update that did not happen', async (t) => {
    const { devcloud, openstack } = await harness(t);
    const { id } = await openstack.attachments.create(await volumeOf(devcloud));
    devcloud.faults.add({ kind: 'status', status: 503, method: 'PUT', count: 2 });
    const updated = await openstack.attachments.update(id, CONNECTOR);
    assert.equal(updated.connectionInfo?.driver_volume_type, 'local');
    assert.equal(devcloud.requests.count({ method: 'PUT' }), 3);
  });

  it('leave an update at its deadline, as the time it was', async (t) => {
    const { devcloud, openstack } = await harness(t);
    const { id } = await openstack.attachments.create(await volumeOf(devcloud));
    devcloud.faults.add({ kind: 'attach-stuck' });
    await assert.rejects(
      openstack.attachments.update(id, CONNECTOR, { deadlineMs: 300 }),
      (error) => CinderfsError.is(error) && error.code === 'http_timeout',
    );
    devcloud.faults.clear();
    await openstack.attachments.delete(id);
    assert.deepEqual([...devcloud.cloud.attachments.values()], []);
  });

  it('never repeat a reservation whose answer was lost', async (t) => {
    const { devcloud, openstack } = await harness(t);
    const volumeId = await volumeOf(devcloud);
    devcloud.faults.add({ kind: 'drop-after', method: 'POST', path: '/attachments', count: 1 });
    await assert.rejects(
      openstack.attachments.create(volumeId),
      (error) => CinderfsError.is(error) && error.code === 'http_failed' && error.context.volume === volumeId,
    );
    const left = await openstack.attachments.listForVolume(volumeId);
    assert.equal(left.length, 1, 'it can be found by its volume');
  });

  it('insist on deleting', async (t) => {
    const { devcloud, openstack } = await harness(t);
    const { id } = await openstack.attachments.create(await volumeOf(devcloud));
    devcloud.faults.add({ kind: 'status', status: 500, method: 'DELETE', count: 2 });
    devcloud.faults.add({ kind: 'drop-after', method: 'DELETE', count: 1 });
    await openstack.attachments.delete(id);
    assert.equal(devcloud.cloud.attachments.size, 0);
  });

  it('survive a token that ends in the middle', async (t) => {
    const { devcloud, openstack } = await harness(t);
    const volumeId = await volumeOf(devcloud);
    devcloud.tokens.revokeAll();
    const { id } = await openstack.attachments.create(volumeId);
    devcloud.tokens.revokeAll();
    await openstack.attachments.update(id, CONNECTOR);
    await openstack.attachments.complete(id);
    await openstack.attachments.delete(id);
    assert.equal(devcloud.requests.count({ service: 'keystone', method: 'POST' }), 3);
  });
});

describe('the catalog of a cloud that hides locations', () => {
  it('finds volumes by their metadata in the own project, and trusts no other', async (t) => {
    const { devcloud, openstack } = await harness(t, { showLocations: false, locationsApi: false });
    const mine = await devcloud.addImage({ name: 'mine', size: 1000 });
    await devcloud.addImage({ name: 'theirs', size: 1000, project: 'demo' });
    await devcloud.addImage({ name: 'in-a-file', size: 1000, store: 'file' });
    await devcloud.addImage({ name: 'off', size: 1000, status: 'deactivated' });
    const { images } = await openstack.catalog.start();
    assert.deepEqual(
      [...images.values()].map(({ name, volumeId }) => [name, volumeId]),
      [['mine', mine.volumeId]],
    );
  });

  it('serves no volume of another project, though the locations API names it to a service', async (t) => {
    const { devcloud, openstack } = await harness(t, { showLocations: false, locationsApi: true });
    const theirs = await devcloud.addImage({ name: 'theirs', size: 1000, project: 'demo' });
    await openstack.catalog.refresh();
    assert.deepEqual(openstack.catalog.refused, [
      { imageId: theirs.id, volumeId: theirs.volumeId, why: 'not_ours' },
    ]);
    const { devcloud: second, openstack: other } = await harness(t, {
      showLocations: false,
      locationsApi: true,
    });
    await second.addImage({ name: 'mine', size: 1000 });
    await second.addImage({ name: 'theirs', size: 1000, project: 'demo' });
    await second.addImage({ name: 'in-a-file', size: 1000, store: 'file' });
    const { images } = await other.catalog.start();
    assert.deepEqual(
      [...images.values()].map(({ name }) => name),
      ['mine'],
    );
    assert.equal(second.requests.count({ service: 'glance', resource: '/images/*/locations' }), 0);
  });
});
