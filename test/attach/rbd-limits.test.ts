/** A host has keyrings of several Ceph users; which of them reads an image is not Cinder's database's to say. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import type { Connector } from '../../src/attach/connection/connector.js';
import { KrbdConnector } from '../../src/attach/connectors/krbd/krbd-connector.js';
import { QemuConnector } from '../../src/attach/connectors/qemu/qemu-connector.js';
import { RbdConnector } from '../../src/attach/connectors/rbd/rbd-connector.js';
import type { RbdLimits } from '../../src/attach/connectors/rbd/rbd-limits.js';
import { RbdImages } from '../../src/ceph/rbd-images.js';
import type { ConnectionInfo } from '../../src/cinder/contract/attachments.js';
import { silentLog } from '../../src/log.js';
import { FakeCeph } from '../fakes/fake-ceph.js';

const VOLUME = '5a44472b-5116-4c68-8fe4-3e0a165dcb41';
const INFO: ConnectionInfo = {
  driver_volume_type: 'rbd',
  name: `volumes/volume-${VOLUME}`,
  hosts: ['192.0.2.66'],
  ports: ['6789'],
  cluster_name: 'ceph',
  auth_enabled: true,
  auth_username: 'cinder',
};

describe('what connection_info chooses of Ceph', () => {
  let cephDirectory = '';
  before(async () => {
    cephDirectory = await mkdtemp(join(tmpdir(), 'cinderfs-limits-'));
    for (const user of ['cinder', 'nova', 'admin'])
      await writeFile(join(cephDirectory, `ceph.client.${user}.keyring`), `[client.${user}]\n\tkey = QUJD\n`);
  });
  after(() => rm(cephDirectory, { recursive: true, force: true }));

  const connectorsWith = (rbdLimits: RbdLimits): readonly Connector[] => {
    const ceph = { cephDirectory, rbdLimits, clock: systemClock };
    const images = new RbdImages({ library: () => new FakeCeph(), timeoutMs: 1_000, slots: 1 });
    const qemu = new QemuConnector({
      ...ceph,
      directory: join(cephDirectory, 'nbd'),
      initiator: '',
      startMs: 1_000,
    });
    return [
      new RbdConnector({ ...ceph, images, connectMs: 1_000 }),
      qemu,
      new KrbdConnector({ ...ceph, stepMs: 1_000, fallback: qemu, log: silentLog }),
    ];
  };
  const refuse = async (limits: RbdLimits, info: ConnectionInfo, pattern: RegExp): Promise<void> => {
    for (const connector of connectorsWith(limits)) {
      const request = { volumeId: VOLUME, info, signal: new AbortController().signal };
      const connecting = (async () => connector.connect(request, connector.plan(request)))();
      await assert.rejects(connecting, pattern, connector.name);
    }
  };

  it('is never the user admin, unless the operator named it', async () => {
    const info = { ...INFO, auth_username: 'admin' };
    await refuse({}, info, /user admin, which rbd_user/);
    const [rbd] = connectorsWith({ user: 'admin' });
    assert.equal(rbd?.plan({ volumeId: VOLUME, info }).user, 'admin');
  });

  it('is any other user, pool and cluster as long as nothing is set', () => {
    const [rbd] = connectorsWith({});
    for (const user of ['cinder', 'nova'])
      assert.equal(rbd?.plan({ volumeId: VOLUME, info: { ...INFO, auth_username: user } }).user, user);
  });

  const settings: readonly (readonly [string, RbdLimits, Partial<ConnectionInfo>, RegExp])[] = [
    ['user', { user: 'cinder' }, { auth_username: 'nova' }, /user nova, which rbd_user/],
    ['pool', { pools: ['volumes', 'images'] }, { name: `vms/volume-${VOLUME}` }, /pool vms, which rbd_pools/],
    ['cluster', { cluster: 'ceph' }, { cluster_name: 'other' }, /cluster other, which rbd_cluster/],
  ];
  for (const [what, limits, change, pattern] of settings)
    it(`is held to the ${what} that is set, by every connector that speaks to Ceph`, async () => {
      await refuse(limits, { ...INFO, ...change }, pattern);
      const [rbd] = connectorsWith(limits);
      assert.equal(rbd?.plan({ volumeId: VOLUME, info: INFO }).pool, 'volumes');
    });
});
