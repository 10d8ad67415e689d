/** What Cinder, a filer or a local user may name, and what root does not read for them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, rename, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import { LocalConnector } from '../../src/attach/connectors/local/local-connector.js';
import { qemuBlocks } from '../../src/attach/connectors/qemu/qemu-block.js';
import { QemuConnector } from '../../src/attach/connectors/qemu/qemu-connector.js';
import type { ConnectionInfo } from '../../src/cinder/contract/attachments.js';
import { openFileReader } from '../../src/sources/file/file-reader.js';
import { temporaryFolder } from '../support/temporary.js';
import { stayAwake } from '../support/time.js';
import { Undo } from '../support/undo.js';

const SECRET = 'HOST-SECRET-ROOT-ONLY';
const signal = new AbortController().signal;
const local = (path: string): ConnectionInfo => ({ driver_volume_type: 'local', device_path: path });
const root = process.getuid?.() === 0;

async function scene(
  test: TestContext | Undo,
): Promise<{ volumes: string; secret: string; connector: LocalConnector }> {
  const folder = await temporaryFolder(test);
  const [volumes, secret] = [join(folder, 'volumes'), join(folder, 'secret')];
  await mkdir(volumes);
  await writeFile(secret, SECRET, { mode: 0o600 });
  await writeFile(join(volumes, 'volume'), 'a volume');
  return { volumes, secret, connector: new LocalConnector([volumes]) };
}

async function assertRefused(connector: LocalConnector, path: string): Promise<void> {
  assert.equal((await connector.refusal(local(path)))?.code, 'connector_failed', path);
  await assert.rejects(
    connector.connect({ volumeId: 'v1', info: local(path), signal }),
    { code: 'connector_failed' },
    path,
  );
  assert.equal(await connector.adopt({ path }), undefined, path);
}

describe('a path that Cinder names', { timeout: 60_000 }, () => {
  it('outside of the configured directories is refused, whatever it is', async (test) => {
    const { secret, connector, volumes } = await scene(test);
    for (const path of [secret, '/etc/passwd', '/proc/self/environ', '/proc/kcore', `${volumes}x/volume`])
      await assertRefused(connector, path);
    await assertRefused(new LocalConnector(), join(volumes, 'volume'));
  });

  it('that is a link, or leads through one, is refused', async (test) => {
    const { volumes, secret, connector } = await scene(test);
    await symlink(secret, join(volumes, 'link'));
    await symlink('..', join(volumes, 'up'));
    await symlink('volume', join(volumes, 'neighbour'));
    for (const name of ['link', 'up/secret', 'neighbour', 'volume/x'])
      await assertRefused(connector, join(volumes, name));
  });

  it('that is a fifo, a directory or a device node is refused at once', async (test) => {
    const { volumes, connector } = await scene(test);
    execFileSync('mkfifo', [join(volumes, 'fifo')]);
    await mkdir(join(volumes, 'directory'));
    const nodes = root ? ['node', 'disk'] : [];
    if (root) execFileSync('mknod', [join(volumes, 'node'), 'c', '1', '5']);
    if (root) execFileSync('mknod', [join(volumes, 'disk'), 'b', '7', '0']);
    for (const name of ['fifo', 'directory', ...nodes]) await assertRefused(connector, join(volumes, name));
  });

  it('in /dev is refused where that is no disk', async (test) => {
    const { connector } = await scene(test);
    for (const path of ['/dev/zero', '/dev/stdin', '/dev/fd/0', '/dev/shm/x'])
      await assertRefused(connector, path);
  });

  it('is read as the file that was proven, not as what has its name by now', async (test) => {
    const { volumes, secret, connector } = await scene(test);
    const info = local(join(volumes, 'volume'));
    const { source, read } = await connector.connect({ volumeId: 'v1', info, signal });
    assert.ok(source.kind === 'file');
    await rename(join(volumes, 'volume'), join(volumes, 'away'));
    await symlink(secret, join(volumes, 'volume'));
    await assert.rejects(read(0, 4), { code: 'connector_failed' });
    const options = { size: 4, slots: 1 };
    await assert.rejects(openFileReader(source, options), { code: 'read_failed' });
    await rename(secret, join(volumes, 'volume'));
    await assert.rejects(openFileReader(source, options), /another file/);
    await rename(join(volumes, 'away'), join(volumes, 'volume'));
    const reader = await openFileReader(source, options);
    assert.equal((await reader.cursor().read(0, 4, signal)).toString(), 'a vo');
    reader.close();
  });
});

describe('a path that Cinder names, for qemu-nbd', { timeout: 60_000 }, () => {
  it('is refused as it is for ourselves: auto would take it next', async (test) => {
    const { volumes, secret } = await scene(test);
    const host = { initiator: 'iqn.x', cephDirectory: volumes, localDirectories: [volumes] };
    const opened = async (info: ConnectionInfo): Promise<string | undefined> => {
      const [block] = await qemuBlocks(info, host);
      const file = await block?.open?.();
      const text = await file?.readFile('utf8');
      await file?.close();
      return text;
    };
    await symlink(secret, join(volumes, 'link'));
    execFileSync('mkfifo', [join(volumes, 'fifo')]);
    for (const path of [secret, join(volumes, 'link'), join(volumes, 'fifo'), '/dev/zero', '/etc/passwd'])
      for (const format of ['raw', 'qcow2'])
        await assert.rejects(opened({ ...local(path), format }), { code: 'connector_failed' }, path);
    assert.equal(await opened(local(join(volumes, 'volume'))), 'a volume');
  });
});

/** The first 8 bytes of what qemu-nbd exports of `path`. `before`: a shell command that runs before qemu-nbd. */
async function exported(undo: Undo, path: string, before = ':'): Promise<string> {
  const folder = await temporaryFolder(undo);
  const [program, directory] = [join(folder, 'qemu-nbd'), join(folder, 'nbd')];
  await writeFile(program, `#!/bin/sh\n${before}\nexec qemu-nbd "$@"\n`, { mode: 0o755 });
  stayAwake(undo);
  const connector = new QemuConnector({
    directory,
    initiator: '',
    cephDirectory: folder,
    localDirectories: path.startsWith('/dev/') ? [] : [dirname(path)],
    clock: systemClock,
    startMs: 20_000,
    program,
  });
  const request = { volumeId: '1e035fa6-7d97-400f-aa2d-cea1d44e4461', info: local(path), signal };
  const plan = connector.plan(request);
  undo.after(() => connector.disconnect(plan));
  const { read, host } = await connector.connect(request, plan);
  const seen = (await read(0, 8)).toString();
  await connector.disconnect(host);
  assert.deepEqual(await readdir(directory), []);
  return seen;
}

describe('a file that is swapped between its check and the open of qemu-nbd', { timeout: 60_000 }, () => {
  const swaps: Record<string, (secret: string, volume: string) => string> = {
    'a link': (secret, volume) => `ln -sfn '${secret}' '${volume}'`,
    'another file': (secret, volume) => `mv -f '${secret}' '${volume}'`,
    nothing: (_, volume) => `rm '${volume}'`,
  };
  for (const [what, swap] of Object.entries(swaps))
    it(`is read as it was checked, though ${what} has its name`, async (test) => {
      const undo = new Undo(test);
      const { volumes, secret } = await scene(undo);
      const volume = join(volumes, 'volume');
      await writeFile(volume, Buffer.alloc(4096, 'a volume'));
      await writeFile(secret, Buffer.alloc(4096, SECRET), { mode: 0o600 });
      assert.equal(await exported(undo, volume, swap(secret, volume)), 'a volume');
    });
});

describe('a disk that Cinder names', { skip: root ? false : 'only root has disks', timeout: 60_000 }, () => {
  const disk = async (undo: Undo, bytes = 8 * 2 ** 20): Promise<string> => {
    const folder = await temporaryFolder(undo);
    await writeFile(join(folder, 'backing'), Buffer.alloc(bytes, 'disk'));
    const loop = execFileSync('losetup', ['-f', '--show', '--partscan', join(folder, 'backing')])
      .toString()
      .trim();
    undo.after(() => execFileSync('losetup', ['-d', loop]));
    return loop;
  };

  it('is served where nothing on this host uses it', async (test) => {
    const loop = await disk(new Undo(test));
    const connector = new LocalConnector();
    assert.equal(await connector.refusal(local(loop)), undefined);
    const { read, size } = await connector.connect({ volumeId: 'v1', info: local(loop), signal });
    assert.equal((await read(4096, 4)).toString(), 'disk');
    assert.equal(await size(), 8 * 2 ** 20);
    assert.ok((await connector.adopt({ path: loop })) !== undefined);
  });

  it('is exported by qemu-nbd as well', async (test) => {
    const undo = new Undo(test);
    assert.equal(await exported(undo, await disk(undo)), 'diskdisk');
  });

  it('is refused where it is mounted', async (test) => {
    const undo = new Undo(test);
    const loop = await disk(undo);
    const at = await temporaryFolder(undo);
    execFileSync('mkfs.ext4', ['-q', loop]);
    execFileSync('mount', [loop, at]);
    undo.after(() => execFileSync('umount', [at]));
    const connector = new LocalConnector();
    await assertRefused(connector, loop);
    assert.match(String(await connector.refusal(local(loop))), /mounted on/);
  });

  it('is refused where it is swap', async (test) => {
    const undo = new Undo(test);
    const loop = await disk(undo);
    execFileSync('mkswap', [loop], { stdio: 'ignore' });
    execFileSync('swapon', [loop]);
    undo.after(() => execFileSync('swapoff', [loop]));
    await assertRefused(new LocalConnector(), loop);
  });
});
