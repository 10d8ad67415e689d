/** A running mount needs nothing of the shell that started it: no directory, no file, no variable, no descriptor. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, readlink, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { it, type TestContext } from 'node:test';
import { startDevcloud } from '../../devcloud/devcloud.js';
import { sha256 } from '../support/cloud.js';
import { engineOf, hasEnded } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { cinderfs, LAUNCHER, run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';
const options = { skip, timeout: 300_000 };

it(
  'the directory it was started in is removed, with clouds.yaml: engines start, upgrade, umount',
  options,
  async (t) => {
    const { dir, home, env, image, supervisor } = await mountedFrom(t);
    const mountpoint = path.join(dir, 'images');
    await rm(home, { recursive: true });
    const first = await engineOf(supervisor);
    assert.ok(first);
    process.kill(first, 'SIGKILL');
    await eventually('it is dead', () => hasEnded(first));
    const file = path.join(mountpoint, image.id);
    assert.equal((await run('timeout', ['60', 'sha256sum', file])).stdout.slice(0, 64), image.sha256);
    const upgrade = await cinderfs(['upgrade', mountpoint], env);
    assert.equal(upgrade.status, 0, upgrade.stderr);
    assert.equal((await run('timeout', ['60', 'sha256sum', file])).stdout.slice(0, 64), image.sha256);
    const { status, stderr } = await run(
      'timeout',
      ['60', process.execPath, LAUNCHER, 'umount', mountpoint],
      env,
    );
    assert.equal(status, 0, stderr);
    await eventually('the supervisor has ended', () => hasEnded(supervisor));
  },
);

it('it keeps no directory, descriptor, umask or secret of the shell', options, async (t) => {
  const { dir, env, supervisor } = await mountedFrom(t);
  const engine = await engineOf(supervisor);
  assert.ok(engine);
  for (const pid of [supervisor, engine]) {
    assert.equal(await readlink(`/proc/${pid}/cwd`), '/');
    assert.match(await readFile(`/proc/${pid}/status`, 'utf8'), /^Umask:\s+0022$/m);
    const held = await Promise.all(
      (await readdir(`/proc/${pid}/fd`)).map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')),
    );
    assert.deepEqual(
      held.filter((file) => file.endsWith('/held-by-the-shell')),
      [],
    );
  }
  const environ = await readFile(`/proc/${engine}/environ`, 'latin1');
  assert.doesNotMatch(environ, /\b(OS|CINDERFS)_/);
  assert.doesNotMatch(await readFile(`/proc/${engine}/cmdline`, 'latin1'), /cinderfs-password|cfg/);
  assert.equal((await cinderfs(['umount', path.join(dir, 'images')], env)).status, 0);
});

it('too few descriptors are a clear error', options, async (t) => {
  const { words, env, home } = await prepared(t);
  const script = 'ulimit -n 64; exec "$@"';
  const { status, stderr } = await inDirectory(home, 'sh', ['-c', script, 'sh', ...words], env);
  assert.equal(status, 3, stderr);
  assert.match(stderr, /may open 64 files/);
});

interface Prepared {
  readonly dir: string;
  /** Where it is started: clouds.yaml and cinderfs.conf are there. */
  readonly home: string;
  readonly words: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly image: { readonly id: string; readonly sha256: string };
}

/** A command line of `mount` with relative paths alone, whose settings come from files. */
async function prepared(t: TestContext): Promise<Prepared & { readonly undo: Undo }> {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const source = path.join(dir, 'cloud', 'images', 'load.raw');
  await mkdir(path.dirname(source), { recursive: true });
  await writeFile(source, Buffer.alloc(2 ** 20, 7));
  const devcloud = await startDevcloud({ dir: path.join(dir, 'cloud') });
  undo.after(() => devcloud.close());
  const home = path.join(dir, 'gone');
  await mkdir(path.join(home, 'cfg'), { recursive: true });
  await mkdir(path.join(dir, 'images'));
  const { OS_AUTH_URL, OS_USERNAME, OS_PASSWORD, OS_PROJECT_NAME, ...others } = devcloud.env;
  const auth = {
    auth_url: OS_AUTH_URL,
    username: OS_USERNAME,
    password: OS_PASSWORD,
    project_name: OS_PROJECT_NAME,
  };
  const domains = { user_domain_name: 'Default', project_domain_name: 'Default' };
  const clouds = { clouds: { prod: { region_name: 'RegionOne', auth: { ...auth, ...domains } } } };
  await writeFile(path.join(home, 'cfg', 'clouds.yaml'), JSON.stringify(clouds), { mode: 0o600 });
  const extra = Object.entries(others).filter(([name]) => name.startsWith('CINDERFS_'));
  const env = {
    PATH: process.env.PATH,
    ...Object.fromEntries(extra),
    CINDERFS_STATE_DIR: path.join(dir, 'state'),
    CINDERFS_RUN_DIR: path.join(dir, 'run'),
    CINDERFS_LOG_FILE: path.join(dir, 'log'),
  };
  const files = ['--os-client-config-file', 'cfg/clouds.yaml', '--os-cloud', 'prod'];
  const words = [process.execPath, LAUNCHER, 'mount', '../images', ...files];
  const [image] = devcloud.cloud.images.values();
  assert.ok(image);
  return { dir, home, words, env, undo, image: { id: image.id, sha256: await sha256(source) } };
}

/** Mounted in the background by a shell with a umask, a directory and a descriptor of its own. */
async function mountedFrom(t: TestContext): Promise<Prepared & { readonly supervisor: number }> {
  const world = await prepared(t);
  const { dir, home, words, env, undo } = world;
  const held = await open(path.join(dir, 'held-by-the-shell'), 'w');
  undo.after(() => held.close());
  const script = 'umask 077; exec "$@" --background';
  const outcome = await inDirectory(home, 'sh', ['-c', script, 'sh', ...words], env, held.fd);
  undo.after(() => run('umount', ['-l', path.join(dir, 'images')]));
  assert.equal(
    outcome.status,
    0,
    `${outcome.stderr}\n${await readFile(path.join(dir, 'log'), 'utf8').catch(() => '')}`,
  );
  const supervisor = Number(/pid (\d+)/.exec(outcome.stderr)?.[1]);
  undo.after(() => {
    try {
      process.kill(supervisor, 'SIGKILL');
    } catch {
      // It has ended, as it should.
    }
  });
  return { ...world, supervisor };
}

async function inDirectory(
  cwd: string,
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  descriptor?: number,
): Promise<{ readonly status: number | null; readonly stderr: string }> {
  const child = spawn(command, args, {
    cwd,
    env,
    stdio: ['ignore', 'ignore', 'pipe', 'ignore', descriptor ?? 'ignore'],
  });
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, stderr };
}
