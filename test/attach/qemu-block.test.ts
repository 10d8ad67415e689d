import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { qemuBlocks, type QemuHost } from '../../src/attach/connectors/qemu/qemu-block.js';
import type { ConnectionInfo } from '../../src/cinder/contract/attachments.js';

const RBD: ConnectionInfo = {
  driver_volume_type: 'rbd',
  name: 'volumes/volume-09bcc754-b116-4fd0-a873-cdde3250d323',
  hosts: ['127.0.0.1', '[fd00::1]'],
  ports: ['6789', '6790'],
  cluster_name: 'ceph',
  auth_enabled: true,
  auth_username: 'cinder',
};
const ISCSI: ConnectionInfo = {
  driver_volume_type: 'iscsi',
  target_portal: '127.0.0.1:3260',
  target_iqn: 'iqn.2010-10.org.openstack:volume-e6814718-8752-4941-a4f2-595f73bd4cd8',
  target_lun: 1,
  auth_method: 'CHAP',
  auth_username: 'KE6NpEFgmSWWGkqEhjbL',
  auth_password: 'SrtfbrFTfLQfu5E2',
};
const NFS: ConnectionInfo = {
  driver_volume_type: 'nfs',
  export: '127.0.0.1:/srv/nfs',
  name: 'volume-e1ec3528-b2ee-4aca-9210-3e01d8d4b2b6',
  format: 'raw',
};

describe('connection_info in the words of QEMU', () => {
  let host: QemuHost = { initiator: 'iqn.1993-08.org.debian:01:abc', cephDirectory: '' };

  before(async () => {
    host = { ...host, cephDirectory: await mkdtemp(join(tmpdir(), 'cinderfs-ceph-')) };
    await mkdir(host.cephDirectory, { recursive: true });
    await writeFile(join(host.cephDirectory, 'ceph.conf'), '[global]\n');
    await writeFile(
      join(host.cephDirectory, 'ceph.client.cinder.keyring'),
      '[client.cinder]\n\tkey = QUJD+w==\n',
    );
  });
  after(() => rm(host.cephDirectory, { recursive: true, force: true }));

  it('gives rbd its monitors, user and key; the key is a secret', async () => {
    const [block] = await qemuBlocks(RBD, host);
    assert.deepEqual(block?.options.file, {
      driver: 'rbd',
      pool: 'volumes',
      image: 'volume-09bcc754-b116-4fd0-a873-cdde3250d323',
      conf: join(host.cephDirectory, 'ceph.conf'),
      user: 'cinder',
      'key-secret': 'cinderfs',
      server: [
        { host: '127.0.0.1', port: '6789' },
        { host: 'fd00::1', port: '6790' },
      ],
      'read-only': true,
    });
    assert.deepEqual(block.secret, { value: 'QUJD+w==', format: 'base64' });
  });

  it('gives iscsi its own initiator and CHAP; the password is a secret', async () => {
    const [block] = await qemuBlocks(ISCSI, host);
    assert.doesNotMatch(JSON.stringify(block?.options), /SrtfbrFTfLQfu5E2/);
    assert.equal(block?.secret?.value, 'SrtfbrFTfLQfu5E2');
    assert.deepEqual(block.options.file, {
      driver: 'iscsi',
      transport: 'tcp',
      portal: '127.0.0.1:3260',
      target: ISCSI.target_iqn,
      lun: 1,
      'initiator-name': host.initiator,
      user: 'KE6NpEFgmSWWGkqEhjbL',
      'password-secret': 'cinderfs',
      'read-only': true,
    });
  });

  it('has one way per iscsi portal', async () => {
    const info = { ...ISCSI, target_portals: ['10.0.0.1:3260', '10.0.0.2:3260'], target_luns: [1, 2] };
    const files = (await qemuBlocks(info, host)).map(
      ({ options }) => options.file as Record<string, unknown>,
    );
    assert.deepEqual(
      files.map(({ portal, lun }) => [portal, lun]),
      [
        ['10.0.0.1:3260', 1],
        ['10.0.0.2:3260', 2],
      ],
    );
  });

  it('reads every volume raw, also one whose format is decoded afterwards', async () => {
    for (const format of ['raw', 'qcow2']) {
      const [block] = await qemuBlocks({ ...NFS, format }, host);
      assert.equal(block?.options.driver, 'raw');
      const file = {
        driver: 'nfs',
        server: { type: 'inet', host: '127.0.0.1' },
        path: `/srv/nfs/${String(NFS.name)}`,
      };
      assert.deepEqual(block.options.file, { ...file, 'read-only': true });
    }
  });

  const hostile: readonly (readonly [string, ConnectionInfo, string])[] = [
    ['a pool that is an option', { ...RBD, name: '-o/volume-1' }, 'connector_failed'],
    [
      'an image with a colon, which librbd takes for options',
      { ...RBD, name: 'volumes/x:conf=y' },
      'connector_failed',
    ],
    ['an rbd name without a pool', { ...RBD, name: 'volume-1' }, 'connector_failed'],
    ['a user with a space', { ...RBD, auth_username: 'a b' }, 'connector_failed'],
    ['a portal that is a path', { ...ISCSI, target_portal: '/etc/passwd' }, 'connector_failed'],
    ['an IQN with a slash', { ...ISCSI, target_iqn: 'iqn.2010:a/../b' }, 'connector_failed'],
    ['a LUN that is none', { ...ISCSI, target_lun: '1;ls' }, 'connector_failed'],
    ['a file name that climbs', { ...NFS, name: '../../etc/shadow' }, 'connector_failed'],
    ['a hidden climb', { ...NFS, name: 'volume..' }, 'connector_failed'],
    ['an export that is no export', { ...NFS, export: '-oproto=x:/a' }, 'connector_failed'],
    ['an export that climbs', { ...NFS, export: 'nfs:/a/../../b' }, 'connector_failed'],
    ['a format where there can be none', { ...RBD, format: 'qcow2' }, 'protocol_unsupported'],
    ['a format that is not asked for', { ...NFS, format: 'vmdk' }, 'protocol_unsupported'],
    ['a protocol that QEMU does not speak', { driver_volume_type: 'fibre_channel' }, 'protocol_unsupported'],
  ];
  for (const [what, info, code] of hostile)
    it(`refuses ${what}`, async () => {
      await assert.rejects(qemuBlocks(info, host), { code });
    });
});
