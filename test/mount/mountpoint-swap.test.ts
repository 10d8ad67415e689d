/** What is mounted on is what was checked, whatever another user does with its name meanwhile. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, realpath, rename, rmdir, symlink } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { mountAsRoot } from '../../src/fs/mount/mount-command.js';
import { findMount } from '../../src/sys/mounts/mount-table.js';
import { prepareMountpoint } from '../../src/fs/mount/mountpoint.js';
import { silentLog } from '../../src/log.js';
import { run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';
const NOBODY = 65534;

interface Scene {
  readonly undo: Undo;
  readonly dir: string;
  /** What was asked for, and what an attacker would have root mount on. */
  readonly mountpoint: string;
  readonly target: string;
}

async function scene(t: TestContext): Promise<Scene> {
  const undo = new Undo(t);
  const dir = await realpath(await temporaryFolder(undo));
  await chmod(dir, 0o755);
  const [mountpoint, target] = [`${dir}/at/images`, `${dir}/target`];
  await mkdir(mountpoint, { recursive: true });
  await mkdir(target);
  for (const path of [mountpoint, target]) undo.after(() => run('umount', ['-l', path]));
  return { undo, dir, mountpoint, target };
}

/** Checks, has `meanwhile` done, mounts; what went wrong. */
async function mountAfter({ mountpoint, undo }: Scene, meanwhile: () => Promise<unknown>): Promise<unknown> {
  try {
    const path = await prepareMountpoint(mountpoint, silentLog);
    await meanwhile();
    const device = await mountAsRoot({ mountpoint: path, fsname: 'cinderfs:test', allowOther: true });
    undo.after(() => device.close());
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('a mount point that changes between check and mount', { skip, timeout: 60_000 }, () => {
  it('is not followed to where a symbolic link leads', async (t) => {
    const stage = await scene(t);
    const error = await mountAfter(stage, async () => {
      await rmdir(stage.mountpoint);
      await symlink(stage.target, stage.mountpoint);
    });
    assert.equal((error as { code?: string }).code, 'mountpoint_invalid');
    assert.equal(await findMount(stage.target), undefined);
  });

  it('is not followed where a directory above became a symbolic link', async (t) => {
    const stage = await scene(t);
    await mkdir(`${stage.target}/images`);
    stage.undo.after(() => run('umount', ['-l', `${stage.target}/images`]));
    const error = await mountAfter(stage, async () => {
      await rename(`${stage.dir}/at`, `${stage.dir}/away`);
      await symlink(stage.target, `${stage.dir}/at`);
    });
    assert.equal((error as { code?: string }).code, 'mountpoint_invalid');
    assert.equal(await findMount(`${stage.target}/images`), undefined);
  });

  for (const [what, uid, mode, why] of [
    ['belongs to another user', NOBODY, 0o755, /at belongs to user 65534/],
    ['everybody can write to', 0, 0o777, /every user can write to the directory .*at/],
    ['a group can write to', 0, 0o770, /group 65534 can write/],
  ] as const)
    it(`is refused below a directory that ${what}, while nobody swaps it all the time`, async (t) => {
      const stage = await scene(t);
      await chown(`${stage.dir}/at`, uid, mode === 0o770 ? NOBODY : 0);
      await chmod(`${stage.dir}/at`, mode);
      const swap =
        'echo; while :; do mv images x 2>/dev/null; ln -s "$1" images; rm images; mv x images; done';
      const swapper = spawn('sh', ['-c', swap, 'sh', stage.target], {
        uid: NOBODY,
        gid: NOBODY,
        cwd: `${stage.dir}/at`,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      stage.undo.after(() => void swapper.kill('SIGKILL'));
      await once(swapper.stdout, 'data');
      let said = '';
      for (let attempt = 0; attempt < 30; attempt += 1) {
        const error = await mountAfter(stage, () => Promise.resolve());
        assert.equal((error as { code?: string }).code, 'mountpoint_invalid');
        said += String(error);
        assert.equal(await findMount(stage.target), undefined);
      }
      swapper.kill('SIGKILL');
      await once(swapper, 'close');
      await run('sh', [
        '-c',
        '[ -d "$1" ] && ! [ -L "$1" ] || { rm -f "$1"; mkdir -p "$1"; }',
        'sh',
        stage.mountpoint,
      ]);
      said += String(await mountAfter(stage, () => Promise.resolve()));
      assert.match(said, why);
    });

  it('may be in a sticky directory, as root made it there', async (t) => {
    const stage = await scene(t);
    await chmod(`${stage.dir}/at`, 0o1777);
    assert.equal(await mountAfter(stage, () => Promise.resolve()), undefined);
    assert.equal((await findMount(stage.mountpoint))?.type, 'fuse.cinderfs');
  });

  it("may not be another user's in a sticky directory", async (t) => {
    const stage = await scene(t);
    await chmod(`${stage.dir}/at`, 0o1777);
    await chown(stage.mountpoint, NOBODY, NOBODY);
    const error = await mountAfter(stage, () => Promise.resolve());
    assert.match(String(error), /images belongs to user 65534, and every user can write to/);
  });
});
