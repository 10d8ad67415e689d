/** One mount, called by every name that it has, by every verb. */
import assert from 'node:assert/strict';
import { mkdir, open, readFile, rename, rm, rmdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { testCloud, type TestCloud, type TestImage } from '../support/cloud.js';
import { engineOf, hasEnded } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { cinderfs, LAUNCHER, Mounted, run, type Outcome } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';

interface Scene {
  readonly dir: string;
  readonly undo: Undo;
  readonly cloud: TestCloud;
  readonly image: TestImage;
  /** Mounted through a symbolic link. */
  readonly mounted: Mounted;
  /** The directory itself. */
  readonly real: string;
  readonly attachments: () => Promise<number>;
}

async function scene(t: TestContext): Promise<Scene> {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const real = path.join(dir, 'real dir', 'bilder ü');
  await mkdir(real, { recursive: true });
  await mkdir(path.join(dir, 'elsewhere'));
  await symlink(real, path.join(dir, 'images'));
  await symlink('real dir', path.join(dir, 'srv'));
  const cloud = await testCloud(undo, dir);
  const image = cloud.images.find(({ attachable, multiattach }) => attachable && multiattach);
  assert.ok(image, 'there is a multiattach image');
  undo.after(() => run('umount', ['-l', real]));
  const mounted = await Mounted.start({ dir, env: cloud.env, args: ['--no-passthrough'], test: undo });
  const attachments = async (): Promise<number> =>
    (await cloud.openstack.attachments.listForVolume(image.volume_id)).length;
  return { dir, undo, cloud, image, mounted, real, attachments };
}

/** `cinderfs` as typed in `directory`. */
function typedIn(directory: string, args: readonly string[], { env }: Mounted): Promise<Outcome> {
  return run('env', ['-C', directory, process.execPath, LAUNCHER, ...args], env);
}

/** Supervisor and engine die: the mount is dead. */
async function die({ mounted, real }: Scene): Promise<void> {
  const engine = await engineOf(mounted.child.pid ?? 0);
  assert.ok(engine);
  mounted.child.kill('SIGKILL');
  process.kill(engine, 'SIGKILL');
  await eventually('both have ended', () => hasEnded(engine));
  await eventually('the mount is dead', async () =>
    (await run('stat', ['-f', real])).stderr.includes('not connected') ? true : undefined,
  );
}

describe('a mount by any of its names', { skip, timeout: 300_000 }, () => {
  it('is known to status, attachments, release, upgrade and mount', async (t) => {
    const { dir, mounted, image, real } = await scene(t);
    const names = [real, `${dir}/images`, `${dir}/images/`, `${dir}/srv/bilder ü`];
    for (const [word, directory] of [
      ...names.map((name) => [name, '/'] as const),
      ['images', dir] as const,
      ['.', real] as const,
      ['../real dir/bilder ü/', `${dir}/elsewhere`] as const,
    ]) {
      const status = await typedIn(directory, ['status', word, '-f', 'json'], mounted);
      assert.equal(status.status, 0, `${word}: ${status.stderr}`);
      assert.equal((JSON.parse(status.stdout) as { mountpoint: string }).mountpoint, real);
    }
    for (const word of names) {
      await readFile(mounted.at(image.id));
      const listed = await typedIn('/', ['attachments', word, '-f', 'value', '-c', 'Volume'], mounted);
      assert.equal(listed.stdout.trim(), image.volume_id, listed.stderr);
      const released = await typedIn('/', ['release', image.id, word], mounted);
      assert.equal(released.status, 0, released.stderr);
    }
    const again = await typedIn(dir, ['mount', 'images'], mounted);
    assert.equal(again.status, 5, again.stderr);
    const upgrade = await typedIn(dir, ['upgrade', 'srv/bilder ü/'], mounted);
    assert.equal(upgrade.status, 0, upgrade.stderr);
    const umount = await typedIn(dir, ['umount', './images/'], mounted);
    assert.equal(umount.status, 0, umount.stderr);
  });

  it('is found by an image in it, which release lets go of', async (t) => {
    const { dir, mounted, image, attachments } = await scene(t);
    for (const [directory, word] of [
      ['/', `${dir}/images/${image.id}`],
      ['/', `${dir}/srv/bilder ü/by-name/${image.name}`],
      [`${dir}/images/by-name`, image.name],
    ] as const) {
      await readFile(mounted.at(image.id));
      assert.equal(await attachments(), 1);
      const listed = await typedIn(directory, ['attachments', word, '-f', 'value', '-c', 'Volume'], mounted);
      assert.equal(listed.stdout.trim(), image.volume_id, listed.stderr);
      assert.equal((await typedIn(directory, ['status', word], mounted)).status, 0);
      const { status, stderr } = await typedIn(directory, ['release', word], mounted);
      assert.equal(status, 0, `${word}: ${stderr}`);
      assert.equal(await attachments(), 0);
    }
    const whole = await typedIn('/', ['umount', mounted.at(image.id)], mounted);
    assert.deepEqual([whole.status, whole.stderr.includes('is inside the mount')], [2, true], whole.stderr);
  });

  it('is settled by --reap when it is dead, and when its directory is gone', async (t) => {
    const stage = await scene(t);
    const { dir, mounted, image, real, attachments } = stage;
    const file = await open(mounted.at(image.id));
    stage.undo.after(() => file.close().catch(() => undefined));
    await die(stage);
    await file.close().catch(() => undefined);
    assert.equal(await attachments(), 1);
    const named = await typedIn(dir, ['attachments', 'images', '--reap', '--dry-run', '-f', 'json'], mounted);
    assert.equal((JSON.parse(named.stdout) as unknown[]).length, 1, named.stderr);
    await run('umount', ['-l', real]);
    // A journal that is lost: only the name of the mount tells whose the attachment is.
    await rm(path.join(dir, 'state', 'attachments'), { recursive: true });
    await rmdir(real);
    const reaped = await typedIn(dir, ['attachments', 'srv/bilder ü/', '--reap', '-f', 'json'], mounted);
    assert.equal(reaped.status, 0, reaped.stderr);
    assert.equal(await attachments(), 0);
  });
});

describe('a mount whose daemons died', { skip, timeout: 300_000 }, () => {
  it('is shown as dead, and umount says what stays attached', async (t) => {
    const stage = await scene(t);
    const { mounted, image, real, attachments } = stage;
    await readFile(mounted.at(image.id));
    await die(stage);
    const listed = await cinderfs(['status', '-f', 'json'], mounted.env);
    const row = (JSON.parse(listed.stdout) as { Mountpoint: string; State: string }[]).find(
      ({ Mountpoint }) => Mountpoint === real,
    );
    assert.equal(row?.State, 'dead', listed.stderr);
    assert.match(listed.stderr, /the daemon of .* died; `cinderfs mount/);
    const one = await cinderfs(['status', mounted.mountpoint], mounted.env);
    assert.deepEqual(
      [one.status, one.stderr.includes('is mounted, but no daemon answers')],
      [9, true],
      one.stderr,
    );
    const { status, stderr } = await cinderfs(['umount', mounted.mountpoint], mounted.env);
    assert.equal(status, 12, stderr);
    assert.match(stderr, new RegExp(`still attached: volume ${image.volume_id} of image .*--reap`));
    assert.equal(await attachments(), 1);
    const reap = await cinderfs(['attachments', mounted.mountpoint, '--reap'], mounted.env);
    assert.equal(reap.status, 0, reap.stderr);
    assert.equal(await attachments(), 0);
  });

  it('is removed with status 0 when nothing is attached', async (t) => {
    const stage = await scene(t);
    await die(stage);
    const { status, stderr } = await cinderfs(['umount', stage.mounted.mountpoint], stage.mounted.env);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /the dead mount was removed/);
  });
});

describe('a daemon that is not found in the run_dir asked', { skip, timeout: 300_000 }, () => {
  it('is told where it is', async (t) => {
    const { dir, mounted, real } = await scene(t);
    for (const verb of ['status', 'attachments', 'umount', 'upgrade', 'mount']) {
      const began = performance.now();
      const { status, stderr } = await cinderfs(
        [verb, mounted.mountpoint, '--run-dir', `${dir}/else`],
        mounted.env,
      );
      assert.equal(status, verb === 'mount' ? 5 : 9, stderr);
      assert.ok(stderr.includes(`--run-dir=${dir}/run`), stderr);
      assert.ok(performance.now() - began < 20_000, 'nobody waits for it');
    }
    const listed = await cinderfs(['status', '--run-dir', `${dir}/else`], mounted.env);
    assert.match(listed.stdout, new RegExp(`${real}.*unreachable`));
  });

  it('is told of when its socket was removed, with the way out', async (t) => {
    const { dir, mounted, image } = await scene(t);
    await rename(`${dir}/run`, `${dir}/moved`);
    const { status, stderr } = await cinderfs(['umount', mounted.mountpoint], mounted.env);
    assert.equal(status, 9, stderr);
    const pid = Number(/SIGTERM to process (\d+)/.exec(stderr)?.[1]);
    assert.equal(pid, await engineOf(mounted.child.pid ?? 0), stderr);
    assert.ok((await readFile(mounted.at(image.id))).length > 0);
    process.kill(pid, 'SIGTERM');
    await eventually('it has ended', async () =>
      mounted.child.exitCode === null ? undefined : Promise.resolve(true),
    );
    await writeFile(`${dir}/ended`, '');
  });
});
