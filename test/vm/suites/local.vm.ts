import { mkdirSync, writeFileSync } from 'node:fs';
import { after, before, describe } from 'node:test';
import { systemClock } from '../../../src/async/clock.js';
import { LocalConnector } from '../../../src/attach/connectors/local/local-connector.js';
import { NfsConnector } from '../../../src/attach/connectors/nfs/nfs-connector.js';
import { NfsMounts } from '../../../src/attach/connectors/nfs/nfs-mounts.js';
import { QemuConnector } from '../../../src/attach/connectors/qemu/qemu-connector.js';
import { loadModules, sh } from '../support/command.js';
import { writeContent } from '../support/content.js';
import { describeMounted, type Volume } from '../support/lifecycle.js';

const MIB = 8;

/** Volumes that are on this host already, the way Cinder's drivers for that describe them. */
describe('an LVM volume of this host', () => {
  let volume: Volume;
  let loop: string;

  before(() => {
    loadModules('loop', 'dm_mod');
    const digest = writeContent('/tmp/content', MIB, 'logical volume');
    // Not on a tmpfs: LVM writes zeroes in a way it does not know.
    sh('truncate', '-s', '64M', '/var/pv');
    loop = sh('losetup', '-f', '--show', '/var/pv').trim();
    sh('vgcreate', '-q', 'cinder-volumes', loop);
    sh('lvcreate', '-q', '-y', '-n', 'volume-1', '-L', `${MIB}M`, 'cinder-volumes');
    sh('dd', 'if=/tmp/content', 'of=/dev/cinder-volumes/volume-1', 'bs=1M', 'conv=fsync', 'status=none');
    const info = { driver_volume_type: 'local', device_path: '/dev/cinder-volumes/volume-1' };
    volume = { id: 'volume-1', info, mib: MIB, digest };
  });
  after(() => {
    sh('vgremove', '-q', '-y', 'cinder-volumes');
    sh('losetup', '-d', loop);
  });

  describeMounted({ connector: () => new LocalConnector(), volume: () => volume });
});

describe('a volume on an NFS share', () => {
  let raw: Volume;
  let qcow2: Volume;

  before(() => {
    loadModules('nfsd', 'nfs', 'nfsv4');
    for (const directory of ['/srv/share', '/mnt/share', '/var/lib/nfs/rpc_pipefs'])
      mkdirSync(directory, { recursive: true });
    // An ext4 directory: a tmpfs has no file handles to export.
    const digest = writeContent('/srv/share/volume-1', MIB, 'nfs volume');
    sh('qemu-img', 'convert', '-O', 'qcow2', '/srv/share/volume-1', '/srv/share/volume-2');
    writeFileSync(
      '/etc/exports',
      '/srv/share 127.0.0.1(rw,no_root_squash,insecure,fsid=0,no_subtree_check)\n',
    );
    sh('mount', '-t', 'nfsd', 'nfsd', '/proc/fs/nfsd');
    sh('exportfs', '-a');
    sh('rpc.nfsd', '-N', '3', '-V', '4', '1');
    sh('rpc.mountd', '-N', '3');
    const info = { driver_volume_type: 'nfs', export: '127.0.0.1:/', options: '-o vers=4.2' };
    raw = { id: 'volume-1', info: { ...info, name: 'volume-1', format: 'raw' }, mib: MIB, digest };
    qcow2 = { id: 'volume-2', info: { ...info, name: 'volume-2', format: 'qcow2' }, mib: MIB, digest };
  });
  after(() => {
    sh('rpc.nfsd', '0');
  });

  describe('that this host has mounted', () => {
    before(() => {
      sh('mount', '-t', 'nfs4', '-o', 'ro,vers=4.2', '127.0.0.1:/', '/mnt/share');
    });
    after(() => {
      sh('umount', '/mnt/share');
    });
    describeMounted({ connector: () => new LocalConnector(), volume: () => raw });
  });

  describe('that is mounted for it alone', () => {
    describeMounted({ connector: ownMount, volume: () => raw });
  });

  describe('that is mounted for it alone, in qcow2', () => {
    describeMounted({ connector: ownMount, volume: () => qcow2 });
  });
});

function ownMount(): NfsConnector {
  const qemu = new QemuConnector({
    directory: '/run/cinderfs/nbd',
    initiator: '',
    cephDirectory: '/etc/ceph',
    clock: systemClock,
    startMs: 240_000,
  });
  return new NfsConnector(new NfsMounts({ directory: '/run/cinderfs/nfs', timeoutMs: 120_000 }), qemu);
}
