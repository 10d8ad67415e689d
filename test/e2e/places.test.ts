/** What the settings for directories and the log name, and what is told where it cannot be used. */
import assert from 'node:assert/strict';
import { chmod, chown, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { mountIdOf } from '../../src/daemon/run-dir.js';
import { testCloud, type TestCloud } from '../support/cloud.js';
import { cinderfs, Mounted, run, type Outcome } from '../support/program.js';
import { fillDisk, smallDisk } from '../support/small-disk.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';
const NOBODY = 65534;

interface Scene {
  readonly undo: Undo;
  readonly dir: string;
  readonly mountpoint: string;
}

let cloud: TestCloud;
let undoCloud: Undo;
before(async () => {
  undoCloud = new Undo({ after: () => undefined });
  if (skip === false) cloud = await testCloud(undoCloud, await temporaryFolder(undoCloud));
});
after(() => undoCloud.run());

async function scene(t: TestContext): Promise<Scene> {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  await chmod(dir, 0o755);
  const mountpoint = path.join(dir, 'images');
  await mkdir(mountpoint);
  await writeFile(path.join(dir, 'file'), 'precious');
  undo.after(() => run('umount', ['-l', mountpoint]));
  return { undo, dir, mountpoint };
}

/** Mounts in the background, which must not come up. */
function mount({ dir, mountpoint }: Scene, settings: NodeJS.ProcessEnv): Promise<Outcome> {
  return cinderfs(['mount', mountpoint, '--background'], {
    ...cloud.env,
    CINDERFS_STATE_DIR: path.join(dir, 'state'),
    CINDERFS_RUN_DIR: path.join(dir, 'run'),
    CINDERFS_LOG_FILE: path.join(dir, 'log'),
    ...settings,
  });
}

async function readOnly({ undo }: Scene): Promise<string> {
  const disk = await smallDisk(undo, 64 * 1024);
  await run('mount', ['-o', 'remount,ro', disk]);
  return disk;
}

async function full({ undo }: Scene): Promise<string> {
  const disk = await smallDisk(undo, 64 * 1024);
  await mkdir(`${disk}/there`);
  fillDisk(disk);
  return `${disk}/there`;
}

const PLACES: Readonly<Record<string, (scene: Scene) => string | Promise<string>>> = {
  'a file': ({ dir }) => `${dir}/file`,
  'below a file': ({ dir }) => `${dir}/file/below`,
  'below /proc': () => '/proc/cinderfs/below',
  'on a read-only file system': async (stage) => `${await readOnly(stage)}/below`,
  'on a full file system': full,
};

describe('a setting that names a place', { skip, timeout: 300_000 }, () => {
  for (const setting of ['state_dir', 'run_dir', 'log_file'])
    for (const [what, place] of Object.entries(PLACES)) {
      // A log that takes nothing loses lines, and nothing else; a socket takes no room.
      if (what === 'on a full file system' && setting !== 'state_dir') continue;
      if (what === 'a file' && setting === 'log_file') continue;
      it(`is told of: ${setting} ${what}`, async (t) => {
        const stage = await scene(t);
        const at = await place(stage);
        const { status, stderr } = await mount(stage, { [`CINDERFS_${setting.toUpperCase()}`]: at });
        assert.equal(status, 3, stderr);
        assert.ok(stderr.includes(`${setting} = ${at} `), stderr);
        assert.match(stderr, /\[path_unusable\]\n$/);
        assert.equal(await readFile(`${stage.dir}/file`, 'utf8'), 'precious');
      });
    }

  it('is told of: log_file a directory', async (t) => {
    const stage = await scene(t);
    const { status, stderr } = await mount(stage, { CINDERFS_LOG_FILE: stage.dir });
    assert.deepEqual([status, stderr.includes('[path_unusable]')], [3, true], stderr);
  });
});

describe('a place that another user has prepared', { skip, timeout: 300_000 }, () => {
  it('is not used as run_dir: root writes to no victim', async (t) => {
    const stage = await scene(t);
    const { dir, mountpoint } = stage;
    const evil = path.join(dir, 'evil');
    const own = path.join(evil, mountIdOf(mountpoint));
    await mkdir(own, { recursive: true });
    for (const name of ['images.json', 'open-files', 'in-flight', 'held-since'])
      for (const victim of [name, `${name}.new`]) await symlink(`${dir}/file`, path.join(own, victim));
    for (const folder of [evil, own]) await chown(folder, NOBODY, NOBODY);
    const { status, stderr } = await mount(stage, { CINDERFS_RUN_DIR: evil });
    assert.equal(status, 3, stderr);
    assert.match(stderr, /run_dir = .* is not safe to use: .*evil belongs to user 65534/);
    assert.equal(await readFile(`${dir}/file`, 'utf8'), 'precious');
  });

  for (const [what, prepare] of Object.entries<(dir: string) => Promise<string>>({
    'a link of theirs': async (dir) => {
      await mkdir(`${dir}/tmp`);
      await chmod(`${dir}/tmp`, 0o1777);
      const ln = ['--reuid=65534', '--clear-groups', 'ln', '-s', `${dir}/file`, `${dir}/tmp/log`];
      assert.equal((await run('setpriv', ln)).status, 0);
      return `${dir}/tmp/log`;
    },
    'in a directory that they can write to': async (dir) => {
      await mkdir(`${dir}/open`);
      await chmod(`${dir}/open`, 0o777);
      return `${dir}/open/log`;
    },
    'a file with a second name': async (dir) => {
      assert.equal((await run('ln', [`${dir}/file`, `${dir}/log2`])).status, 0);
      return `${dir}/log2`;
    },
    'a FIFO': async (dir) => {
      assert.equal((await run('mkfifo', [`${dir}/fifo`])).status, 0);
      return `${dir}/fifo`;
    },
  }))
    it(`is not written to as log_file: ${what}`, async (t) => {
      const stage = await scene(t);
      const { status, stderr } = await mount(stage, { CINDERFS_LOG_FILE: await prepare(stage.dir) });
      assert.deepEqual([status, stderr.includes('[path_unusable]')], [3, true], stderr);
      assert.equal(await readFile(`${stage.dir}/file`, 'utf8'), 'precious');
    });
});

describe('a state_dir that became read-only', { skip, timeout: 300_000 }, () => {
  it('does not hold up umount, which says what stays attached and how to settle it', async (t) => {
    const { undo, dir } = await scene(t);
    const mounted = await Mounted.start({ dir, env: cloud.env, args: ['--no-passthrough'], test: undo });
    const image = cloud.images.find(({ attachable, multiattach }) => attachable && multiattach);
    assert.ok(image);
    await readFile(mounted.at(image.id));
    const state = path.join(dir, 'state');
    // As when a disk fails: not even who has files open there is asked.
    assert.equal((await run('mount', ['-t', 'tmpfs', '-o', 'ro', 'cinderfs-test', state])).status, 0);
    undo.after(() => run('umount', ['-l', state]));
    const began = performance.now();
    const { status, stderr } = await cinderfs(['umount', mounted.mountpoint], mounted.env);
    assert.ok(performance.now() - began < 20_000, `${performance.now() - began} ms`);
    assert.equal(status, 12, stderr);
    assert.match(stderr, new RegExp(`still attached: ${image.volume_id} .*state_dir = ${state} .*--reap`));
    await run('umount', ['-l', state]);
    const reap = await cinderfs(['attachments', mounted.mountpoint, '--reap'], mounted.env);
    assert.equal(reap.status, 0, reap.stderr);
    assert.deepEqual(await cloud.openstack.attachments.listForVolume(image.volume_id), []);
  });
});
