/**
 * SIGTERM at any moment of the start leaves no mount, no process and no file. CINDERFS_START_SIGNALS says how many
 * moments, spread over the time that a start takes here.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { it } from 'node:test';
import { startDevcloud } from '../../devcloud/devcloud.js';
import { enginesOn } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { filesBelow, mountsBelow } from '../support/leftovers.js';
import { LAUNCHER, Mounted, run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { moment } from '../support/time.js';
import { Undo } from '../support/undo.js';

const MOMENTS = Number(process.env.CINDERFS_START_SIGNALS ?? 12);
const skip = process.getuid?.() === 0 ? false : 'mounting needs root';

for (const args of [[], ['--no-supervise']])
  it(`SIGTERM during the start ${args.join(' ')}`, { skip, timeout: 1_200_000 }, async (t) => {
    const undo = new Undo(t);
    const dir = await temporaryFolder(undo);
    const devcloud = await startDevcloud({ dir: path.join(dir, 'cloud') });
    undo.after(() => devcloud.close());
    const began = performance.now();
    const mounted = await Mounted.start({ dir, env: devcloud.env, args, test: undo });
    const startMs = performance.now() - began;
    assert.equal(await mounted.stop(), 0);
    const { mountpoint, env } = mounted;
    for (let at = 0; at < MOMENTS; at += 1) {
      const after = (startMs * 1.1 * at) / MOMENTS;
      const child = spawn(process.execPath, [LAUNCHER, 'mount', mountpoint, ...args], {
        env,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      undo.after(() => child.kill('SIGKILL'));
      let said = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
      const gone = once(child, 'exit');
      await moment(after);
      child.kill('SIGTERM');
      await gone;
      const when = `signalled after ${Math.round(after)} of ${Math.round(startMs)} ms; ${said}`;
      assert.deepEqual(await mountsBelow(dir), [], when);
      await eventually('no engine is left', async () =>
        (await enginesOn(mountpoint)).length === 0 ? true : undefined,
      );
      assert.deepEqual(await filesBelow(path.join(dir, 'run')), [], when);
    }
  });

it('SIGTERM to `mount --background` that waits', { skip, timeout: 600_000 }, async (t) => {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const devcloud = await startDevcloud({ dir: path.join(dir, 'cloud') });
  undo.after(() => devcloud.close());
  const mountpoint = path.join(dir, 'images');
  await mkdir(mountpoint);
  devcloud.faults.add({ kind: 'latency', delayMs: 8_000, service: 'keystone' });
  const env = {
    PATH: process.env.PATH,
    ...devcloud.env,
    CINDERFS_STATE_DIR: path.join(dir, 'state'),
    CINDERFS_RUN_DIR: path.join(dir, 'run'),
    CINDERFS_LOG_FILE: path.join(dir, 'log'),
  };
  const child = spawn(process.execPath, [LAUNCHER, 'mount', mountpoint, '--background'], { env });
  undo.after(() => child.kill('SIGKILL'));
  undo.after(() => run('umount', ['-l', mountpoint]));
  await eventually('an engine starts', async () =>
    (await enginesOn(mountpoint)).length > 0 ? true : undefined,
  );
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
  assert.deepEqual(await enginesOn(mountpoint), []);
  assert.deepEqual(await mountsBelow(dir), []);
});
