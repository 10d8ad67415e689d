/** A mount in the foreground whose log goes to a file: its stderr has what the operator who started it must see. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { chmod, mkdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { it, type TestContext } from 'node:test';
import { startDevcloud } from '../../devcloud/devcloud.js';
import { engineOf } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { LAUNCHER, Mounted } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';
const options = { skip, timeout: 300_000 };
const [CONFIG, AUTH] = [3, 4];

interface Scene {
  readonly undo: Undo;
  readonly dir: string;
  readonly env: NodeJS.ProcessEnv;
}

for (const args of [[], ['--no-supervise']]) {
  it(`logs to log_file, READY is on stderr ${args.join(' ')}`, options, async (t) => {
    const { undo, dir, env } = await scene(t);
    const log = path.join(dir, 'log');
    const mounted = await Mounted.start({ dir, env, args: [...args, `--log-file=${log}`], test: undo });
    const supervisor = mounted.child.pid ?? 0;
    if (args.length === 0) {
      const engine = await engineOf(supervisor);
      assert.ok(engine);
      process.kill(engine, 'SIGKILL');
      await eventually(
        'the next engine serves',
        async () => (await linesOf(log)).some(({ msg }) => msg === 'the mount is served again') || undefined,
      );
    }
    assert.equal(await mounted.stop(), 0);
    assert.deepEqual(mounted.said, [`READY ${mounted.mountpoint}`]);
    const said = (await linesOf(log)).map(({ msg }) => msg);
    assert.ok(said.includes('stopping'), `the engine: ${said.join('; ')}`);
    if (args.length === 0) assert.ok(said.includes('the engine died; starting it again'), 'the supervisor');
    const { mode, uid } = await stat(log);
    assert.deepEqual([mode & 0o777, uid], [0o640, 0]);
  });

  it(`says on stderr why a mount fails ${args.join(' ')}`, options, async (t) => {
    const stage = await scene(t);
    const log = path.join(stage.dir, 'log');
    const { status, stderr } = await failing(stage, [...args, `--log-file=${log}`], {
      OS_PASSWORD: 'mistyped',
    });
    assert.equal(status, AUTH, stderr);
    assert.match(stderr, /^cinderfs: .*\[auth_failed\]\n$/);
  });

  it(`refuses a log_file that others could replace ${args.join(' ')}`, options, async (t) => {
    const stage = await scene(t);
    await mkdir(`${stage.dir}/open`);
    await chmod(`${stage.dir}/open`, 0o777);
    const { status, stderr } = await failing(stage, [...args, `--log-file=${stage.dir}/open/log`]);
    assert.equal(status, CONFIG, stderr);
    assert.match(stderr, /log_file = .*\[path_unusable\]\n$/);
  });
}

async function scene(t: TestContext): Promise<Scene> {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  await chmod(dir, 0o755);
  const cloud = await startDevcloud({ dir: path.join(dir, 'cloud') });
  undo.after(() => cloud.close());
  return { undo, dir, env: cloud.env };
}

/** A mount in the foreground that must not come up. */
async function failing({ undo, dir, env }: Scene, args: readonly string[], more: NodeJS.ProcessEnv = {}) {
  const mountpoint = path.join(dir, 'images');
  await mkdir(mountpoint);
  const settings = [`--state-dir=${dir}/state`, `--run-dir=${dir}/run`];
  const child = spawn(process.execPath, [LAUNCHER, 'mount', mountpoint, ...settings, ...args], {
    env: { PATH: process.env.PATH, ...env, ...more },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  undo.after(() => child.kill('SIGKILL'));
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, stderr };
}

async function linesOf(file: string): Promise<readonly { readonly msg: string }[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { readonly msg: string });
}
