/**
 * The supervisor of a mount is as old as the mount; its engines are of the version that is installed. A supervisor of
 * the version before (protocol 1, commit 723163f) works with the engine of today: always by a frozen program that speaks
 * that protocol, and with that version itself where the history has it.
 */
import assert from 'node:assert/strict';
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, open, readFile, rename, symlink, writeFile, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Devcloud, startDevcloud } from '../../devcloud/devcloud.js';
import { protocolWith } from '../../src/supervisor/protocol.js';
import { CinderfsError } from '../../src/errors.js';
import { engineOf, hasEnded } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { cinderfs, LAUNCHER, run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';
import { VERSION } from '../../src/version.js';
import { VERSION_BEFORE, versionBefore } from './version-before.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';
const FIXTURES = fileURLToPath(new URL('../../../test/fixtures', import.meta.url));
const REPOSITORY = path.dirname(path.dirname(LAUNCHER));
/** Far more than the kernel reads ahead of the first bytes: the rest is for the next engine to read. */
const BYTES = 32 * 2 ** 20;
const FIRST = 2 ** 16;

interface Scene {
  readonly undo: Undo;
  readonly dir: string;
  readonly cloud: Devcloud;
  readonly mountpoint: string;
  readonly file: string;
  readonly env: NodeJS.ProcessEnv;
  readonly data: Buffer;
}

async function scene(t: TestContext): Promise<Scene> {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const mountpoint = path.join(dir, 'images');
  await mkdir(mountpoint);
  const cloud = await startDevcloud({ dir: path.join(dir, 'cloud'), volumeBytes: 'gib', multiattach: false });
  undo.after(() => cloud.close());
  const data = Buffer.alloc(BYTES);
  for (let at = 0; at < BYTES; at += 8) data.writeDoubleLE(at, at);
  const { id } = await cloud.addImage({ name: 'held' }, { data });
  const env = {
    PATH: process.env.PATH,
    CINDERFS_STATE_DIR: path.join(dir, 'state'),
    CINDERFS_RUN_DIR: path.join(dir, 'run'),
    CINDERFS_LOG_FORMAT: 'json',
    ...cloud.env,
  };
  return { undo, dir, cloud, mountpoint, file: path.join(mountpoint, id), env, data };
}

/** Starts a supervisor; resolves when it says READY. */
async function supervisor(
  { undo, mountpoint, dir }: Scene,
  words: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<ChildProcess> {
  const child = spawn(process.execPath, words, { cwd: dir, env, stdio: ['ignore', 'ignore', 'pipe'] });
  undo.after(async () => {
    const engine = await engineOf(child.pid ?? 0);
    if (child.exitCode === null) child.kill('SIGKILL');
    if (engine !== undefined) process.kill(engine, 'SIGKILL');
    await run('umount', ['-l', mountpoint]);
  });
  const said: string[] = [];
  await new Promise<void>((resolve, reject) => {
    const lines = createInterface({ input: child.stderr });
    lines.on('line', (line) => {
      said.push(line);
      if (line.startsWith('READY')) resolve();
    });
    lines.on('close', () => reject(new Error(said.join('\n'))));
  });
  return child;
}

/** The bytes from `from` to `to`. */
async function bytesOf(file: FileHandle, from: number, to: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(to - from), 0, to - from, from);
  assert.equal(bytesRead, to - from);
  return buffer;
}

/** What the kernel has of the file in memory; its open and what is read afterwards are for the engine to answer. */
async function forgetPages(file: string): Promise<void> {
  const { status, stderr } = await run('dd', [`if=${file}`, 'iflag=nocache', 'count=0']);
  assert.equal(status, 0, stderr);
}

/** Kills the engine under an open file of a volume that only one host may attach: same bytes, same attachment. */
async function survivesKill({ file, cloud, data }: Scene, pid: number): Promise<void> {
  const held = await open(file);
  try {
    const first = await bytesOf(held, 0, FIRST);
    const attachments = [...cloud.cloud.attachments.keys()];
    assert.equal(attachments.length, 1);
    const engine = await engineOf(pid);
    assert.ok(engine);
    process.kill(engine, 'SIGKILL');
    await eventually('it is gone', () => hasEnded(engine));
    await forgetPages(file);
    const second = await bytesOf(held, FIRST, BYTES);
    assert.ok(Buffer.concat([first, second]).equals(data), 'the bytes of the image');
    assert.deepEqual([...cloud.cloud.attachments.keys()], attachments);
  } finally {
    await held.close();
  }
}

/** Upgrades under an open file: same bytes, same attachment, another engine. */
async function upgrades(
  { file, cloud, data, mountpoint, env }: Scene,
  pid: number,
  { from = VERSION, to = VERSION } = {},
): Promise<void> {
  const held = await open(file);
  try {
    const first = await bytesOf(held, 0, FIRST);
    const attachments = [...cloud.cloud.attachments.keys()];
    const engine = await engineOf(pid);
    const { status, stdout, stderr } = await cinderfs(['upgrade', mountpoint], env);
    assert.equal(status, 0, stderr);
    assert.ok(stdout.includes(`: ${from} -> ${to},`), stdout);
    assert.notEqual(await engineOf(pid), engine);
    await forgetPages(file);
    const second = await bytesOf(held, FIRST, BYTES);
    assert.ok(Buffer.concat([first, second]).equals(data), 'the bytes of the image');
    assert.deepEqual([...cloud.cloud.attachments.keys()], attachments);
  } finally {
    await held.close();
  }
}

async function endsClean({ cloud, mountpoint, env }: Scene, child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  const { status, stderr } = await cinderfs(['umount', mountpoint], env);
  assert.equal(status, 0, stderr);
  await gone;
  assert.deepEqual([...cloud.cloud.attachments.keys()], []);
}

describe('a supervisor of the version before', { skip, timeout: 900_000 }, () => {
  it('restarts, upgrades and ends the engine of today (frozen program)', async (t) => {
    const all = await scene(t);
    const recorded = await readFile(path.join(FIXTURES, 'settings-protocol-1.json'), 'utf8');
    const origin = new URL(all.cloud.env.OS_AUTH_URL ?? '').origin;
    const settings = path.join(all.dir, 'settings.json');
    await writeFile(settings, recorded.replaceAll('@DIR@', all.dir).replaceAll('@CLOUD@', origin));
    const frozen = path.join(FIXTURES, 'supervisor-protocol-1.cjs');
    // Of the settings nothing but the message tells its engines.
    const bare = { PATH: process.env.PATH };
    const child = await supervisor(all, [frozen, LAUNCHER, all.mountpoint, settings], bare);
    const pid = child.pid ?? 0;
    await survivesKill(all, pid);
    await upgrades(all, pid);
    await survivesKill(all, pid);
    await endsClean(all, child);
  });

  it('upgrades to the engine of today and back (commit 723163f itself)', async (t) => {
    const before = await versionBefore(REPOSITORY);
    if (before === undefined) {
      t.skip('that commit, or its packages, cannot be had; the frozen program stands for it');
      return;
    }
    const all = await scene(t);
    // Node names a launcher by its real path: the program below it is what is replaced.
    const bin = path.join(all.dir, 'current', 'bin');
    await cp(path.join(before, 'bin'), bin, { recursive: true });
    const install = async (tree: string): Promise<void> => {
      const dist = path.join(all.dir, 'current', 'dist');
      await symlink(path.join(tree, 'dist'), `${dist}.next`);
      await rename(`${dist}.next`, dist);
    };
    await install(before);
    const launcher = path.join(bin, 'cinderfs.cjs');
    const child = await supervisor(all, [launcher, 'mount', all.mountpoint], all.env);
    const pid = child.pid ?? 0;
    await install(REPOSITORY);
    await upgrades(all, pid, { from: VERSION_BEFORE });
    await survivesKill(all, pid);
    await install(before);
    await upgrades(all, pid, { to: VERSION_BEFORE });
    await install(REPOSITORY);
    await survivesKill(all, pid);
    await endsClean(all, child);
  });
});

describe('an engine', { timeout: 120_000 }, () => {
  it('refuses a supervisor that hands over no settings, and says the way out', async (t) => {
    const undo = new Undo(t);
    const engine = fork(LAUNCHER, ['engine', '/images'], { silent: true });
    undo.after(() => Promise.resolve(engine.kill('SIGKILL')));
    const [message] = (await once(engine, 'message')) as [{ kind: string; line: string }];
    assert.equal(message.kind, 'failed');
    assert.match(message.line, /too old.*Install the version that made the mount again.*\[upgrade_failed\]/s);
  });
});

describe('the protocol of two versions', () => {
  const own = { protocol: 4, oldest: 2 };

  it('is the newest that both speak', () => {
    assert.equal(protocolWith({ protocol: 4, oldest: 4 }, 'engine', own), 4);
    assert.equal(protocolWith({ protocol: 9, oldest: 3 }, 'engine', own), 4);
    assert.equal(protocolWith({ protocol: 3 }, 'engine', own), 3);
    assert.equal(protocolWith({}, 'supervisor'), 1, 'no number: the version before there were any');
    assert.equal(protocolWith({ protocol: '2' as unknown as number }, 'supervisor'), 1);
  });

  it('is refused, with the way out, where there is none', () => {
    for (const peer of [{ protocol: 9, oldest: 5 }, { protocol: 1 }, {}])
      assert.throws(
        () => protocolWith(peer, 'engine', own),
        (error) =>
          CinderfsError.is(error) && error.code === 'upgrade_failed' && error.remedy.includes('Install'),
      );
  });
});
