/** Coming up and going away: whatever ends a mount, nothing stays attached; whatever fails says so and leaves nothing. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, readdir } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { testCloud, type TestCloud, type TestImage } from '../support/cloud.js';
import { eventually } from '../support/eventually.js';
import { cinderfs, LAUNCHER, Mounted, run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

interface Scene {
  readonly cloud: TestCloud;
  readonly mounted: Mounted;
  readonly image: TestImage;
  readonly undo: Undo;
}

async function scene(t: TestContext, args: readonly string[] = []): Promise<Scene> {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const cloud = await testCloud(undo, dir);
  const mounted = await Mounted.start({ dir, env: cloud.env, args, test: undo });
  const image = cloud.images.find(({ attachable, multiattach }) => attachable && multiattach);
  assert.ok(image, 'there is a multiattach image');
  return { cloud, mounted, image, undo };
}

async function attachments(cloud: TestCloud): Promise<number> {
  const lists = await Promise.all(
    cloud.images.map((one) => cloud.openstack.attachments.listForVolume(one.volume_id)),
  );
  return lists.flat().length;
}

async function mountedNow(mountpoint: string): Promise<boolean> {
  return (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${mountpoint} `);
}

describe('ending a mount', { timeout: 300_000 }, () => {
  it('SIGTERM detaches what lingers, unmounts and ends with 0', async (t) => {
    const { cloud, mounted, image } = await scene(t);
    await readFile(mounted.at(image.id));
    assert.equal(await attachments(cloud), 1);
    assert.equal(await mounted.stop('SIGTERM'), 0, mounted.said.join('\n'));
    assert.equal(await attachments(cloud), 0);
    assert.equal(await mountedNow(mounted.mountpoint), false);
  });

  it('cinderfs umount returns when nothing is attached any more', async (t) => {
    const { cloud, mounted, image } = await scene(t);
    await readFile(mounted.at(image.id));
    const gone = once(mounted.child, 'exit');
    const { status, stderr } = await cinderfs(['umount', mounted.mountpoint], mounted.env);
    assert.equal(status, 0, stderr);
    assert.equal(await attachments(cloud), 0);
    assert.equal(await mountedNow(mounted.mountpoint), false);
    assert.deepEqual(await gone, [0, null]);
  });

  it('umount(8) by anybody detaches everything too', async (t) => {
    const { cloud, mounted, image } = await scene(t);
    await readFile(mounted.at(image.id));
    const gone = once(mounted.child, 'exit');
    assert.equal((await run('umount', [mounted.mountpoint])).status, 0);
    assert.deepEqual(await gone, [0, null]);
    assert.equal(await attachments(cloud), 0);
  });

  it('cinderfs umount refuses a busy mount, names the holder, and goes on serving', async (t) => {
    const { mounted, image, undo } = await scene(t);
    const file = await open(mounted.at(image.id));
    const holder = spawn('sleep', ['1000'], { stdio: [file.fd, 'ignore', 'ignore'] });
    undo.after(() => holder.kill());
    await once(holder, 'spawn');
    await file.close();
    const { status, stderr } = await cinderfs(['umount', mounted.mountpoint], mounted.env);
    assert.equal(status, 6, stderr);
    assert.match(stderr, new RegExp(`\\b${holder.pid ?? 0}\\b.*sleep|sleep.*\\b${holder.pid ?? 0}\\b`));
    assert.equal((await run('sha256sum', [mounted.at(image.id)])).stdout.slice(0, 64), image.sha256);
    holder.kill();
    await once(holder, 'exit');
  });

  it('a second SIGTERM no longer waits for open files', async (t) => {
    const { cloud, mounted, image, undo } = await scene(t, ['--drain-timeout', '1h']);
    const holder = spawn('tail', ['-f', mounted.at(image.id)], { stdio: ['ignore', 'ignore', 'ignore'] });
    undo.after(() => holder.kill());
    await eventually('the image is open', async () =>
      (await mounted.status()).open_files.length > 0 ? true : undefined,
    );
    const gone = once(mounted.child, 'exit');
    mounted.child.kill('SIGTERM');
    await eventually('it drains', async () =>
      (await mounted.status()).state === 'draining' ? true : undefined,
    );
    mounted.child.kill('SIGTERM');
    assert.deepEqual(await gone, [0, null]);
    assert.equal(await attachments(cloud), 0);
  });
});

describe('an attach that Cinder refuses', { timeout: 300_000 }, () => {
  it('gives the reader an errno, a log line with the request id, and leaves nothing reserved', async (t) => {
    const { cloud, mounted } = await scene(t);
    const refused = await refusedImage(cloud);
    const read = await run('cat', [mounted.at(refused.id)]);
    assert.equal(read.status, 1);
    assert.match(read.stderr, /Input\/output error/);
    const line = mounted.said.find((said) => said.includes(refused.volume_id) && said.includes('req-'));
    assert.ok(line, `no log line names the volume and the request:\n${mounted.said.join('\n')}`);
    const left = await cloud.openstack.attachments.listForVolume(refused.volume_id);
    assert.deepEqual(left, []);
    assert.equal((await cloud.openstack.volumes.show(refused.volume_id)).status, 'available');
    const why = await run('getfattr', [
      '-n',
      'user.cinderfs.last_error',
      '--only-values',
      mounted.at(refused.id),
    ]);
    assert.match(why.stdout, /req-/);
  });

  /** The lab has an image that its Cinder refuses; the double is told to refuse one. */
  async function refusedImage(cloud: TestCloud): Promise<TestImage> {
    const image = cloud.images.find(({ attachable }) => cloud.kind === 'embedded' || !attachable);
    assert.ok(image);
    if (cloud.devcloud !== undefined) {
      cloud.devcloud.faults.add({ kind: 'attach-refused', count: 100 });
    }
    return Promise.resolve(image);
  }
});

describe('a mount that cannot come up', { timeout: 120_000 }, () => {
  async function fails(
    t: TestContext,
    change: (env: NodeJS.ProcessEnv, dir: string) => { env?: NodeJS.ProcessEnv; mountpoint?: string },
  ): Promise<{ status: number | null; stderr: string }> {
    const undo = new Undo(t);
    const dir = await temporaryFolder(undo);
    const cloud = await testCloud(undo, dir);
    const { env = cloud.env, mountpoint = dir } = change(cloud.env, dir);
    const state = { CINDERFS_STATE_DIR: `${dir}/state`, CINDERFS_RUN_DIR: `${dir}/run` };
    const outcome = await cinderfs(['mount', mountpoint], { ...env, ...state });
    assert.equal(await mountedNow(mountpoint), false, 'nothing is left mounted');
    const lines = outcome.stderr.split('\n').filter((line) => line.startsWith('cinderfs: '));
    assert.equal(lines.length, 1, `one clear line:\n${outcome.stderr}`);
    return outcome;
  }

  it('missing mount point', async (t) => {
    const { status, stderr } = await fails(t, (_, dir) => ({ mountpoint: `${dir}/missing` }));
    assert.equal(status, 5);
    assert.match(stderr, /missing.*\[mountpoint_invalid\]/);
  });

  it('mount point that is not empty', async (t) => {
    // The folder of the test holds the cloud's files.
    const { status, stderr } = await fails(t, (_, dir) => ({ mountpoint: `${dir}/..` }));
    assert.equal(status, 5, stderr);
  });

  it('mount point in use', async (t) => {
    const { mounted } = await scene(t);
    const { status, stderr } = await cinderfs(['mount', mounted.mountpoint], mounted.env);
    assert.equal(status, 5, stderr);
    assert.match(stderr, /\[mountpoint_busy\]/);
    assert.equal((await mounted.status()).state, 'serving');
  });

  /** A folder with an empty mount point; whatever happens, nothing may be mounted there afterwards. */
  async function refused(
    t: TestContext,
    env: NodeJS.ProcessEnv,
  ): Promise<{ status: number | null; stderr: string }> {
    const undo = new Undo(t);
    const dir = await temporaryFolder(undo);
    const mountpoint = `${dir}/images`;
    await mkdir(mountpoint);
    const places = { CINDERFS_STATE_DIR: `${dir}/state`, CINDERFS_RUN_DIR: `${dir}/run` };
    const outcome = await cinderfs(['mount', mountpoint], { ...env, ...places });
    assert.equal(await mountedNow(mountpoint), false, 'nothing is left mounted');
    const lines = outcome.stderr.split('\n').filter((line) => line.startsWith('cinderfs: '));
    assert.equal(lines.length, 1, `one clear line:\n${outcome.stderr}`);
    assert.deepEqual(await readdir(`${dir}/run`), [], 'no socket is left');
    return outcome;
  }

  const credentials = (url: string, password: string): NodeJS.ProcessEnv => ({
    OS_AUTH_URL: url,
    OS_USERNAME: 'cinderfs',
    OS_PASSWORD: password,
    OS_PROJECT_NAME: 'service',
    OS_USER_DOMAIN_NAME: 'Default',
    OS_PROJECT_DOMAIN_NAME: 'Default',
  });

  it('wrong password', async (t) => {
    const undo = new Undo(t);
    const cloud = await testCloud(undo, await temporaryFolder(undo));
    const { status, stderr } = await refused(t, credentials(cloud.authUrl, 'wrong'));
    assert.equal(status, 4, stderr);
    assert.match(stderr, /cinderfs.*\[auth_failed\]/);
    assert.doesNotMatch(stderr, /wrong/, 'the password is not shown');
  });

  it('a user who sees the images but not their volumes', async (t) => {
    const undo = new Undo(t);
    const cloud = await testCloud(undo, await temporaryFolder(undo));
    const { status, stderr } = await refused(t, cloud.outsider);
    assert.equal(status, 4, stderr);
    assert.match(stderr, /demo.*member and service roles.*\[forbidden\]/);
  });

  it('no /dev/fuse', async (t) => {
    const undo = new Undo(t);
    const dir = await temporaryFolder(undo);
    const cloud = await testCloud(undo, dir);
    await mkdir(`${dir}/images`);
    // A mount namespace of its own whose /dev has no fuse, as a container without the device.
    const hide = 'mount -t tmpfs dev /dev && mknod /dev/null c 1 3 && mknod /dev/urandom c 1 9 && exec "$@"';
    const command = ['-m', 'sh', '-c', hide, 'sh', process.execPath, LAUNCHER, 'mount', `${dir}/images`];
    const places = { CINDERFS_STATE_DIR: `${dir}/state`, CINDERFS_RUN_DIR: `${dir}/run` };
    const { status, stderr } = await run('unshare', command, { ...cloud.env, ...places });
    assert.equal(status, 7, stderr);
    assert.match(stderr, /\/dev\/fuse.*\[fuse_missing\]/);
  });

  it('unreachable Keystone', async (t) => {
    const { status, stderr } = await refused(t, credentials('http://127.0.0.1:1/v3', 'p'));
    assert.equal(status, 4, stderr);
    assert.match(stderr, /127\.0\.0\.1:1.*\[auth_unreachable\]/);
  });
});
