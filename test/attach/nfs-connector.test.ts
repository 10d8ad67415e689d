import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, open, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import type { ConnectRequest } from '../../src/attach/connection/connector.js';
import { NfsConnector } from '../../src/attach/connectors/nfs/nfs-connector.js';
import { NfsMounts } from '../../src/attach/connectors/nfs/nfs-mounts.js';
import { QemuConnector } from '../../src/attach/connectors/qemu/qemu-connector.js';
import type { ConnectionInfo } from '../../src/cinder/contract/attachments.js';
import { CinderfsError } from '../../src/errors.js';
import { readMountTable } from '../../src/sys/mounts/mount-table.js';
import { temporaryFolder } from '../support/temporary.js';
import { stayAwake } from '../support/time.js';
import { Undo } from '../support/undo.js';

const SHARE = '192.0.2.1:/volumes';
const CONTENT = Buffer.alloc(2 ** 20, 'a volume on a share');

/** A connector whose mount(8) binds a directory in place of the share; a kernel mount all the same. */
async function make(
  test: TestContext,
): Promise<{ connector: NfsConnector; mounts: string; asked: string; share: string }> {
  const undo = new Undo(test);
  stayAwake(undo);
  const folder = await temporaryFolder(undo);
  const [share, mounts, asked] = ['share', 'our mounts', 'asked'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  undo.after(async () => {
    const left = (await readMountTable()).filter(({ mountpoint }) => mountpoint.startsWith(folder));
    for (const { mountpoint } of left.reverse()) execFileSync('umount', [mountpoint]);
  });
  await mkdir(share);
  await writeFile(join(share, 'volume-1'), CONTENT);
  await writeFile(join(share, 'raw'), CONTENT);
  execFileSync('qemu-img', ['convert', '-O', 'qcow2', join(share, 'raw'), join(share, 'volume-2')]);
  const mountProgram = join(folder, 'fake-mount');
  await writeFile(mountProgram, `#!/bin/sh\necho "$*" >>'${asked}'\nexec mount --bind '${share}' "$6"\n`, {
    mode: 0o755,
  });
  const qemu = new QemuConnector({
    directory: join(folder, 'nbd'),
    shareMounts: mounts,
    initiator: 'iqn.2026-01.test.lab:host',
    cephDirectory: folder,
    clock: systemClock,
    startMs: 30_000,
  });
  const connector = new NfsConnector(
    new NfsMounts({ directory: mounts, timeoutMs: 20_000, mountProgram }),
    qemu,
  );
  return { connector, mounts, asked, share };
}

const infoOf = (name: string, more: object = {}): ConnectionInfo => ({
  driver_volume_type: 'nfs',
  export: SHARE,
  name,
  options: '-o vers=4.2,nconnect=4',
  format: 'raw',
  ...more,
});
const request = (volumeId: string, info: ConnectionInfo): ConnectRequest => ({
  volumeId,
  info,
  signal: new AbortController().signal,
});
const skip = process.getuid?.() === 0 ? false : 'only root may mount';

describe('the nfs connector', { skip }, () => {
  it('mounts a share once, read-only, for as long as a volume of it is used', async (test) => {
    const { connector, mounts, asked } = await make(test);
    const requests = ['v1', 'v2'].map((id) => request(id, infoOf('volume-1')));
    const connected = await Promise.all(
      requests.map((each) => connector.connect(each, connector.plan(each))),
    );
    assert.match(
      await readFile(asked, 'utf8'),
      /^-t nfs -o ro,nosuid,nodev,noexec,vers=4.2,nconnect=4 \S+ .+\n$/,
    );
    for (const each of connected)
      assert.ok((await each.read(4096, 8192)).equals(CONTENT.subarray(4096, 12_288)));
    const [first, second] = connected.map(({ host }) => host);
    assert.ok(first !== undefined && second !== undefined);
    await connector.disconnect(first);
    assert.ok((await connector.adopt(second)) !== undefined, 'the other one is still there');
    await connector.disconnect(second);
    await connector.disconnect(second);
    assert.deepEqual(await readdir(mounts), []);
  });

  it('has a qcow2 volume decoded', async (test) => {
    const { connector, mounts } = await make(test);
    const asked = request('v3', infoOf('volume-2', { format: 'qcow2' }));
    const connected = await connector.connect(asked, connector.plan(asked));
    assert.equal(connected.source.kind, 'nbd');
    assert.equal(await connected.size(), CONTENT.length);
    assert.ok((await connected.read(4096, 8192)).equals(CONTENT.subarray(4096, 12_288)));
    await connector.disconnect(connected.host);
    assert.deepEqual(await readdir(mounts), []);
  });

  it('keeps a mount that somebody reads, and says so', async (test) => {
    const { connector, mounts } = await make(test);
    const asked = request('v4', infoOf('volume-1'));
    const connected = await connector.connect(asked, connector.plan(asked));
    assert.ok(connected.source.kind === 'file');
    const file = await open(connected.source.path);
    await assert.rejects(connector.disconnect(connected.host), /busy/);
    await file.close();
    await connector.disconnect(connected.host);
    assert.deepEqual(await readdir(mounts), []);
  });

  it('reads nothing through a link that the filer holds, and no fifo', async (test) => {
    const { connector, mounts, share } = await make(test);
    await symlink('/etc/passwd', join(share, 'volume-3'));
    await symlink('volume-1', join(share, 'volume-4'));
    execFileSync('mkfifo', [join(share, 'volume-5')]);
    for (const [name, format] of [3, 4, 5].flatMap((n) =>
      ['raw', 'qcow2'].map((f) => [`volume-${n}`, f] as const),
    )) {
      const asked = request(name, infoOf(name, { format }));
      await assert.rejects(connector.connect(asked, connector.plan(asked)), code('connector_failed'), name);
    }
    assert.deepEqual(await readdir(mounts), []);
  });

  it('switches links of the share off', async (test) => {
    const { connector, mounts } = await make(test);
    const asked = request('v7', infoOf('volume-1'));
    const connected = await connector.connect(asked, connector.plan(asked));
    const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
    assert.match(
      lines.find((line) => line.includes(mounts.replaceAll(' ', '\\040'))) ?? '',
      / ro,nosuid,nodev,noexec,\S*nosymfollow/,
    );
    await connector.disconnect(connected.host);
  });

  it('leaves nothing of a volume that is not there, and takes no option that is none of its business', async (test) => {
    const { connector, mounts } = await make(test);
    const missing = request('v5', infoOf('volume-9'));
    await assert.rejects(connector.connect(missing, connector.plan(missing)), code('connector_failed'));
    for (const options of ['-o rw', 'suid', 'vers=4,exec', 'context=x y']) {
      const twisted = request('v6', infoOf('volume-1', { options }));
      await assert.rejects(connector.connect(twisted, connector.plan(twisted)), /is not allowed/);
    }
    assert.deepEqual(await readdir(mounts), []);
  });
});

function code(expected: string): (error: unknown) => boolean {
  return (error) => CinderfsError.is(error) && error.code === expected;
}
