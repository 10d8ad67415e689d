/** The file system of a mount lives on where it was mounted once more: every command and the daemon end all the same. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { cinderfs, Mounted, run, type Outcome } from '../support/program.js';
import { eventually } from '../support/eventually.js';
import { within } from '../support/time.js';
import { endsClean, supervisedWorld, type SupervisedWorld } from './world.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';
/** No command may take longer; `--drain=N` takes N more. */
const SOON_MS = 15_000;

/** A way to mount the file system once more; each is undone with the world. */
type Copy = (world: SupervisedWorld) => Promise<unknown>;

const COPIES: Readonly<Record<string, Copy>> = {
  'a bind mount': (world) => bind(world),
  'a mount namespace of root': ({ undo }) =>
    inNamespace(undo, ['unshare', '-m', '--propagation', 'private', 'sleep', '300']),
  'a mount namespace of nobody': ({ undo }) =>
    inNamespace(undo, [...AS_NOBODY, 'unshare', '-Urm', 'sleep', '300']),
  'an overlay': (world) => overlay(world),
};
const AS_NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];

describe('a mount that nobody reads lives on in', { skip, timeout: 600_000 }, () => {
  for (const [name, copy] of Object.entries(COPIES)) {
    it(`${name}: umount ends it, and the next mount works`, async (t) => {
      const world = await copied(t, copy);
      const gone = once(world.mounted.child, 'exit');
      const { status, stderr } = await soon(world, ['umount', world.mounted.mountpoint]);
      assert.equal(status, 0, stderr);
      assert.deepEqual(await gone, [0, null]);
      await mountsAgain(world);
    });
  }

  it('a bind mount: SIGTERM ends it', async (t) => {
    const world = await copied(t, bind);
    assert.equal(await ends(world, () => world.mounted.child.kill('SIGTERM')), 0);
    await mountsAgain(world);
  });

  it('a bind mount: umount --lazy ends it', async (t) => {
    const world = await copied(t, bind);
    const status = await ends(world, () => soon(world, ['umount', '--lazy', world.mounted.mountpoint]));
    assert.equal(status, 0);
    await mountsAgain(world);
  });

  it('a bind mount: umount(8) ends it', async (t) => {
    const world = await copied(t, bind);
    assert.equal(await ends(world, () => run('umount', [world.mounted.mountpoint])), 0);
    await mountsAgain(world);
  });

  it('a bind mount: an upgrade works, and umount after it', async (t) => {
    const world = await copied(t, bind);
    const upgrade = await soon(world, ['upgrade', world.mounted.mountpoint]);
    assert.equal(upgrade.status, 0, upgrade.stderr);
    assert.equal((await soon(world, ['umount', world.mounted.mountpoint])).status, 0);
    await mountsAgain(world);
  });
});

describe('a mount that is read elsewhere', { skip, timeout: 600_000 }, () => {
  it('through a bind mount: umount refuses and says who reads where', async (t) => {
    const { world, reader } = await readElsewhere(t);
    const { mounted, dir } = world;
    const refused = await soon(world, ['umount', mounted.mountpoint]);
    assert.equal(refused.status, 6, refused.stderr);
    assert.match(refused.stderr, new RegExp(`sleep \\(pid ${reader.pid ?? 0}\\): open ${dir}/bd/`));
    assert.match(refused.stderr, new RegExp(`also mounted at ${dir}/bd`));
    const drained = await soon(world, ['umount', mounted.mountpoint, '--drain=2']);
    assert.equal(drained.status, 6, drained.stderr);
    assert.equal((await mounted.status()).state, 'serving');
    reader.kill();
    await eventually('it can be unmounted', async () =>
      (await soon(world, ['umount', mounted.mountpoint])).status === 0 ? true : undefined,
    );
    await mountsAgain(world);
  });

  it('in a mount namespace: umount refuses and names the reader', async (t) => {
    const world = await supervisedWorld(t, ['--no-passthrough']);
    const script = 'exec 9<"$0"; echo open; exec sleep 300';
    const args = ['-m', '--propagation', 'private', 'sh', '-c', script, world.target.file];
    const reader = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'ignore'] });
    world.undo.after(() => reader.kill());
    await once(reader.stdout, 'data');
    const refused = await soon(world, ['umount', world.mounted.mountpoint]);
    assert.equal(refused.status, 6, refused.stderr);
    assert.match(refused.stderr, new RegExp(`sleep \\(pid ${reader.pid ?? 0}\\): open `));
    reader.kill();
    await endsClean(world);
  });

  it('through a bind mount: SIGTERM waits drain_timeout, then ends it', async (t) => {
    const { world, reader } = await readElsewhere(t, ['--drain-timeout=3']);
    const began = performance.now();
    assert.equal(await ends(world, () => world.mounted.child.kill('SIGTERM')), 0);
    assert.ok(performance.now() - began >= 2_900, 'readers are waited for');
    assert.equal(reader.exitCode, null);
    reader.kill();
    await mountsAgain(world);
  });

  it('through a bind mount, after umount(8): it is read to the last close, then the mount ends', async (t) => {
    const { world, reader } = await readElsewhere(t);
    const { mounted } = world;
    assert.equal((await run('umount', [mounted.mountpoint])).status, 0);
    const line = /not mounted at .* any more/;
    await eventually('it says so', () =>
      Promise.resolve(mounted.said.some((text) => line.test(text)) || undefined),
    );
    assert.equal(mounted.child.exitCode, null);
    assert.equal(await ends(world, () => reader.kill()), 0);
    await mountsAgain(world);
  });

  it('by a loop device: umount refuses and names it', async (t) => {
    const world = await supervisedWorld(t, ['--no-passthrough']);
    const { stdout, status, stderr } = await run('losetup', ['-f', '-r', '--show', world.target.file]);
    assert.equal(status, 0, stderr);
    const device = stdout.trim();
    world.undo.after(() => run('losetup', ['-d', device]));
    const refused = await soon(world, ['umount', world.mounted.mountpoint]);
    assert.equal(refused.status, 6, refused.stderr);
    assert.ok(refused.stderr.includes(device), refused.stderr);
    assert.equal((await run('losetup', ['-d', device])).status, 0);
    await endsClean(world);
  });
});

async function copied(t: TestContext, copy: Copy): Promise<SupervisedWorld> {
  const world = await supervisedWorld(t);
  // So that there is something to detach.
  await readFile(world.target.file);
  await copy(world);
  return world;
}

async function bind({ dir, mounted, undo }: SupervisedWorld): Promise<string> {
  const place = path.join(dir, 'bd');
  await mkdir(place);
  const { status, stderr } = await run('mount', ['--bind', mounted.mountpoint, place]);
  assert.equal(status, 0, stderr);
  undo.after(() => run('umount', ['-l', place]));
  return place;
}

async function overlay({ dir, mounted, undo }: SupervisedWorld): Promise<void> {
  const [place, empty] = [path.join(dir, 'merged'), path.join(dir, 'empty')];
  await mkdir(place);
  await mkdir(empty);
  const lower = `lowerdir=${mounted.mountpoint}:${empty}`;
  const { status, stderr } = await run('mount', ['-t', 'overlay', 'overlay', place, '-o', lower]);
  assert.equal(status, 0, stderr);
  undo.after(() => run('umount', ['-l', place]));
}

/** A process with a copy of the mount table, until the world is undone. */
async function inNamespace(undo: SupervisedWorld['undo'], words: readonly string[]): Promise<void> {
  const [command = '', ...args] = words;
  const child = spawn(command, args, { stdio: 'ignore' });
  undo.after(() => child.kill());
  await eventually('it sleeps', async () => {
    assert.equal(child.exitCode, null, `${words.join(' ')} ended`);
    const comm = await readFile(`/proc/${child.pid ?? 0}/comm`, 'utf8').catch(() => '');
    return comm.trim() === 'sleep' ? true : undefined;
  });
}

/** A mount with a process that reads it through a bind mount. */
async function readElsewhere(
  t: TestContext,
  args: readonly string[] = [],
): Promise<{ world: SupervisedWorld; reader: ChildProcess }> {
  const world = await supervisedWorld(t, ['--no-passthrough', ...args]);
  const place = await bind(world);
  const script = 'exec 9<"$0"; echo open; exec sleep 300';
  const file = path.join(place, path.basename(world.target.file));
  const reader = spawn('sh', ['-c', script, file], { stdio: ['ignore', 'pipe', 'ignore'] });
  world.undo.after(() => reader.kill());
  await once(reader.stdout, 'data');
  return { world, reader };
}

/** A command that must end by itself. */
async function soon({ mounted }: SupervisedWorld, args: readonly string[]): Promise<Outcome> {
  const words = [`${SOON_MS / 1000}`, process.execPath, launcher(mounted), ...args];
  return run('timeout', words, mounted.env);
}

function launcher({ child }: Mounted): string {
  return child.spawnargs[1] ?? '';
}

/** The exit status of the daemon that `make` ends. */
async function ends({ mounted }: SupervisedWorld, make: () => unknown): Promise<number | null | 'late'> {
  const gone = once(mounted.child, 'exit') as Promise<[number | null]>;
  await make();
  const outcome = await within(SOON_MS, gone);
  return outcome === 'late' ? outcome : outcome[0];
}

/** Nothing is attached any more, and the mount point can be used at once. */
async function mountsAgain(world: SupervisedWorld): Promise<void> {
  const { dir, mounted, undo } = world;
  assert.equal(await world.attachments(), 0, 'everything is detached');
  const next = await Mounted.start({ dir, env: mounted.env, test: undo });
  assert.equal((await cinderfs(['status', next.mountpoint], next.env)).status, 0);
  for (const place of ['bd', 'merged']) await run('umount', ['-l', path.join(dir, place)]);
  await endsClean({ ...world, mounted: next });
}
