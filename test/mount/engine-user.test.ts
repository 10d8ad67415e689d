import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, chmod, chown, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cannotMount } from '../fuse/engine-mount.js';
import { run } from '../support/program.js';

const NOBODY = 65_534;
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** The program as another user can read it: a checkout may lie below a home that is closed to others. */
async function copyProgram(to: string): Promise<string> {
  for (const part of [
    'dist/src',
    'dist/test/fuse',
    'dist/test/support',
    'node_modules/koffi',
    'node_modules/@koromix',
  ])
    await cp(path.join(ROOT, part), path.join(to, part), { recursive: true });
  await writeFile(path.join(to, 'package.json'), '{"type": "module"}');
  return path.join(to, 'dist/test/fuse/source-process.js');
}

const cannot =
  cannotMount ||
  (await access('/bin/fusermount3').then(
    () => false,
    () => 'fusermount3 is not installed',
  ));

describe('the kernel engine as an ordinary user', { skip: cannot, timeout: 60_000 }, () => {
  it('mounts, serves and unmounts through fusermount3', async (t) => {
    const dir = await mkdtemp(path.join(tmpdir(), 'cinderfs-user-'));
    const mountpoint = path.join(dir, 'mnt');
    await chmod(dir, 0o755);
    await mkdir(mountpoint);
    await chown(mountpoint, NOBODY, NOBODY);
    const program = await copyProgram(dir);
    const child = spawn(process.execPath, [program, mountpoint, '1048576'], {
      uid: NOBODY,
      gid: NOBODY,
      cwd: dir,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    t.after(async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      await run('umount', ['-l', mountpoint]);
      await rm(dir, { recursive: true });
    });
    await Promise.race([once(child, 'message'), once(child, 'exit')]);
    const table = await readFile('/proc/self/mountinfo', 'utf8');
    const line = table.split('\n').find((entry) => entry.includes(` ${mountpoint} `));
    assert.match(line ?? '', /fuse\.cinderfs cinderfs-test-source .*user_id=65534/);
    const asNobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
    const { stdout } = await run('setpriv', [...asNobody, 'ls', '-l', mountpoint]);
    assert.match(stdout, /1048576 .* source/);
    child.send('unmount');
    await once(child, 'exit');
    assert.equal(child.exitCode, 0);
    assert.equal((await readFile('/proc/self/mountinfo', 'utf8')).includes(mountpoint), false);
  });
});
