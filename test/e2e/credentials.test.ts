/** Credentials that change under a running mount, and what its operator is told. */
import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { testCloud, type TestCloud } from '../support/cloud.js';
import { eventually } from '../support/eventually.js';
import { cinderfs, Mounted } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

interface Scene {
  readonly dir: string;
  readonly cloud: TestCloud;
  /** Puts clouds.yaml there, with another password than that of the cloud. */
  readonly write: (password?: string) => Promise<void>;
  readonly env: NodeJS.ProcessEnv;
}

async function scene(undo: Undo): Promise<Scene> {
  const dir = await temporaryFolder(undo);
  const cloud = await testCloud(undo, dir);
  const variables = Object.entries(cloud.env).filter(([name]) => /^OS_(?!CLIENT|CLOUD)/.test(name));
  const settings = Object.fromEntries(variables.map(([name, value]) => [name.slice(3).toLowerCase(), value]));
  const write = (password = cloud.env.OS_PASSWORD): Promise<void> =>
    writeFile(
      path.join(dir, 'clouds.yaml'),
      JSON.stringify({ clouds: { prod: { ...settings, password } } }),
      { mode: 0o600 },
    );
  await write();
  const others = Object.entries(cloud.env).filter(([name]) => !name.startsWith('OS_'));
  const named = { HOME: dir, OS_CLIENT_CONFIG_FILE: 'clouds.yaml', OS_CLOUD: 'prod' };
  return { dir, cloud, write, env: { ...Object.fromEntries(others), ...named } };
}

const skip = process.env.CINDERFS_TEST_CLOUD === 'lab' ? 'the lab has a clouds.yaml of its own' : false;

describe('credentials of a running mount', { skip, timeout: 120_000 }, () => {
  const logins = (mounted: Mounted, fail: boolean): Promise<string> =>
    eventually(`logins ${fail ? 'fail' : 'succeed'}`, async () => {
      const { login_failure: failure } = await mounted.status();
      return (failure !== null) === fail ? (failure?.reason ?? 'none') : undefined;
    });

  it('are read again on SIGHUP; status says that logins fail, since when and why', async (t: TestContext) => {
    const undo = new Undo(t);
    const { dir, cloud, write, env } = await scene(undo);
    const mounted = await Mounted.start({ dir, env, test: undo });
    const hup = (): boolean => mounted.child.kill('SIGHUP');
    assert.equal((await mounted.status()).login_failure, null);
    await write('rotated-away');
    hup();
    const reason = await logins(mounted, true);
    assert.match(reason, /refused user 'cinderfs' in project 'service' \(cloud 'prod'\): .+\[auth_failed\]/);
    assert.ok(!reason.includes('rotated-away'));
    const { stdout } = await cinderfs(['status', mounted.mountpoint], mounted.env);
    assert.match(stdout, /logins +\|? *fail since 20\d\d-.*refused user/);
    // Files are served on meanwhile, by the token that there is.
    const image = cloud.images.find(({ attachable, multiattach }) => attachable && multiattach);
    assert.equal((await readFile(mounted.at(image?.id ?? ''))).length, image?.size);
    await write();
    hup();
    await logins(mounted, false);
    assert.ok(mounted.said.some((line) => line.includes('the credentials changed; the new ones are used')));
    assert.equal(await mounted.stop(), 0);
  });

  it('stand in the environment of none of its processes', async (t: TestContext) => {
    const undo = new Undo(t);
    const { dir, cloud } = await scene(undo);
    const mounted = await Mounted.start({ dir, env: cloud.env, test: undo });
    const { engine_pid: engine } = await mounted.status();
    const environ = await readFile(`/proc/${engine}/environ`, 'latin1');
    assert.doesNotMatch(environ, /OS_PASSWORD/);
    const children = await readFile(`/proc/${engine}/task/${engine}/children`, 'utf8');
    for (const child of children
      .trim()
      .split(' ')
      .filter((pid) => pid !== ''))
      assert.doesNotMatch(await readFile(`/proc/${child}/environ`, 'latin1'), /OS_PASSWORD/);
  });

  it('that every user can read are warned of where the mount is made, once', async (t: TestContext) => {
    const undo = new Undo(t);
    const { dir, env } = await scene(undo);
    await chmod(path.join(dir, 'clouds.yaml'), 0o644);
    const settings = {
      ...env,
      OS_CLIENT_CONFIG_FILE: path.join(dir, 'clouds.yaml'),
      CINDERFS_STATE_DIR: path.join(dir, 'state'),
      CINDERFS_RUN_DIR: path.join(dir, 'run'),
      CINDERFS_LOG_FILE: path.join(dir, 'log'),
    };
    const images = path.join(dir, 'images');
    await mkdir(images);
    undo.after(() => cinderfs(['umount', images, '--lazy'], settings));
    const { status, stderr } = await cinderfs(['mount', images, '--background'], settings);
    assert.equal(status, 0, stderr);
    const told =
      stderr.match(/clouds\.yaml can be read by every user of this host, and holds secrets/g) ?? [];
    assert.equal(told.length, 1, stderr);
    const logged = (await readFile(path.join(dir, 'log'), 'utf8')).match(/can be read by every user/g) ?? [];
    assert.equal(logged.length, 1);
  });
});
