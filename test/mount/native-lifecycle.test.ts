import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CinderfsError } from '../../src/errors.js';
import { mountNative } from '../../src/fs/fuse-native/mount-native.js';
import { findMount } from '../../src/sys/mounts/mount-table.js';
import { prepareMountpoint, unmount } from '../../src/fs/mount/mountpoint.js';
import { silentLog } from '../../src/log.js';
import { mountWorld } from '../conformance/mounted.js';
import { makeWorld, undoneAfter } from '../conformance/world.js';
import type { World } from '../conformance/world.js';
import { noLeases } from '../conformance/filesystem.js';
import { run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';

describe('a mount over fuse-native', () => {
  it('shows type, source and options, and lets the kernel keep many reads in the background', async (t) => {
    const world = await makeWorld(t);
    const { mountpoint } = await mountWorld(world, mountNative);
    const mount = await findMount(mountpoint);
    assert.deepEqual([mount?.type, mount?.source], ['fuse.cinderfs', 'cinderfs-test']);
    assert.equal(await maxBackground(world, mount?.minor ?? 0), 1024);
  });

  it('refuses to unmount while it is in use and says who holds it', async (t) => {
    const world = await makeWorld(t);
    const { mountpoint, mounted } = await mountWorld(world, mountNative);
    const holder = await holdOpen(world, path.join(mountpoint, world.raw.image.id));
    const error = await mounted.unmount().then(
      () => assert.fail('unmounted'),
      (thrown: unknown) => CinderfsError.from(thrown),
    );
    assert.equal(error.code, 'holders');
    assert.ok(error.message.includes(`sleep (pid ${holder.pid}): open ${mountpoint}/`), error.message);
    assert.equal((await readdir(mountpoint)).includes('by-name'), true);
    await stop(holder);
    await noLeases(world);
    await mounted.unmount();
    assert.equal(await findMount(mountpoint), undefined);
  });

  it('has ended when somebody else unmounts it', async (t) => {
    const world = await makeWorld(t);
    const { mountpoint, mounted } = await mountWorld(world, mountNative);
    assert.equal((await run('umount', [mountpoint])).status, 0);
    await mounted.ended;
    // Unmounting again, as the hook of the test will, is no error.
    await mounted.unmount();
  });

  it('serves the files that are open after a lazy unmount, and ends with the last', async (t) => {
    const world = await makeWorld(t);
    const { mountpoint, client, mounted } = await mountWorld(world, mountNative);
    const fd = await client.call<number>('open', path.join(mountpoint, world.nbd.image.id));
    await mounted.unmount({ lazy: true });
    assert.equal(await findMount(mountpoint), undefined);
    const { bytes } = world.nbd;
    assert.ok((await client.bytes('pread', fd, bytes.length - 10, 100)).equals(bytes.subarray(-10)));
    assert.equal(world.pool.leases, 1);
    await client.call('close', fd);
    await mounted.ended;
    assert.equal(world.pool.leases, 0);
  });

  it('gives a read its deadline, and every other file its bytes meanwhile', async (t) => {
    const world = await makeWorld(t, { readTimeoutMs: 5000 });
    const { mountpoint, client } = await mountWorld(world, mountNative, { readTimeoutMs: 5000 });
    const fd = await client.call<number>('open', path.join(mountpoint, world.hung.image.id));
    const reads = Array.from({ length: 14 }, (_, index) => client.bytes('pread', fd, index * 140_000, 4096));
    const ended = Promise.all(reads.map((read) => assert.rejects(read, { code: /ETIMEDOUT|EIO/ })));
    assert.ok(
      (await client.bytes('sent', path.join(mountpoint, world.raw.image.id))).equals(world.raw.bytes),
    );
    await ended;
    world.hungServer.letGo();
    const again = await client.bytes('pread', fd, 0, 4096);
    assert.ok(again.equals(world.hung.bytes.subarray(0, 4096)));
    await client.call('close', fd);
  });

  it('takes away the mount of a daemon that was killed (ENOTCONN) and mounts there', async (t) => {
    const world = await makeWorld(t);
    const mountpoint = path.join(await temporaryFolder(world.undo), 'images');
    await mkdir(mountpoint);
    world.undo.after(() => unmount(mountpoint, { lazy: true }).catch(() => undefined));
    const daemon = spawn(process.execPath, [DAEMON, mountpoint], { stdio: ['ignore', 'pipe', 'inherit'] });
    world.undo.after(() => stop(daemon));
    await once(daemon.stdout, 'data');
    await stop(daemon);
    await assert.rejects(readdir(mountpoint), { code: 'ENOTCONN' });
    const said: string[] = [];
    const log = { ...silentLog, warn: (_fields: object, message: string) => void said.push(message) };
    assert.equal(await prepareMountpoint(mountpoint, log), mountpoint);
    assert.deepEqual(said, ['removed a stale mount (its daemon is gone)']);
    assert.equal(await findMount(mountpoint), undefined);
  });
});

describe('the mount point', () => {
  const refused = async (directory: string, code: string, why: RegExp): Promise<void> => {
    await assert.rejects(prepareMountpoint(directory, silentLog), (error: unknown) => {
      assert.ok(CinderfsError.is(error));
      assert.equal(error.code, code);
      assert.match(error.message, why);
      return true;
    });
  };

  it('must be there, be a directory and be empty', async (t) => {
    const dir = await temporaryFolder(undoneAfter(t));
    await writeFile(path.join(dir, 'file'), '');
    await refused(path.join(dir, 'missing'), 'mountpoint_invalid', /does not exist/);
    await refused(path.join(dir, 'file'), 'mountpoint_invalid', /is not a directory/);
    await refused(dir, 'mountpoint_invalid', /is not empty \(it holds file\)/);
  });

  it('must not be in use, by us or by others', async (t) => {
    const world = await makeWorld(t);
    const { mountpoint } = await mountWorld(world, mountNative);
    await refused(mountpoint, 'mountpoint_busy', /is a mount point already \(fuse.cinderfs\)/);
    await refused('/proc', 'mountpoint_busy', /is a mount point already \(proc\)/);
  });
});

const DAEMON = fileURLToPath(new URL('./native-daemon.js', import.meta.url));

/** A process with a file of the mount open, that knows nothing of it. */
async function holdOpen(world: World, file: string): Promise<ChildProcess> {
  const script = 'exec 3<"$1"; echo open; exec sleep 600 >/dev/null';
  const holder = spawn('bash', ['-c', script, 'bash', file], { stdio: ['ignore', 'pipe', 'inherit'] });
  world.undo.after(() => stop(holder));
  // The pipe closes when the shell has become sleep: the file is open then, and the name is right.
  holder.stdout.resume();
  await once(holder.stdout, 'close');
  return holder;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

/** Read through a fusectl of the test's own: hosts without systemd have none mounted. */
async function maxBackground(world: World, minor: number): Promise<number> {
  const dir = await temporaryFolder(world.undo);
  const mount = await run('mount', ['-t', 'fusectl', 'fusectl', dir]);
  assert.equal(mount.status, 0, mount.stderr);
  world.undo.after(() => run('umount', [dir]));
  return Number((await run('cat', [path.join(dir, String(minor), 'max_background')])).stdout);
}
