/** Who may die of those that hold a mount, and what the next start finds. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { engineOf, hasEnded } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { mountsBelow } from '../support/leftovers.js';
import { cinderfs, Mounted, run } from '../support/program.js';
import { endsClean, supervisedWorld, type SupervisedWorld } from './world.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';

describe('the supervisor is killed', { skip, timeout: 600_000 }, () => {
  it('and the engine serves on, without a gap, until it is unmounted', async (t) => {
    const { world, engine } = await orphaned(t);
    const { mounted, target } = world;
    assert.equal((await mounted.status()).supervision, null);
    assert.equal((await run('sha256sum', [target.file])).stdout.slice(0, 64), target.sha256);
    const second = await cinderfs(['mount', mounted.mountpoint], mounted.env);
    assert.equal(second.status, 5, second.stderr);
    const upgrade = await cinderfs(['upgrade', mounted.mountpoint], mounted.env);
    assert.match(upgrade.stderr, /no supervisor/);
    assert.equal((await cinderfs(['umount', mounted.mountpoint], mounted.env)).status, 0);
    await eventually('the engine has ended', () => hasEnded(engine));
    assert.equal(await world.attachments(), 0);
  });

  it('and then the engine: readers get ENOTCONN, the next start heals the mount and what is attached', async (t) => {
    const { world, engine } = await orphaned(t);
    const { mounted, target, dir, undo } = world;
    const file = await open(target.file);
    undo.after(() => file.close().catch(() => undefined));
    process.kill(engine, 'SIGKILL');
    await eventually('readers get ENOTCONN', async () =>
      (await run('cat', [target.file])).stderr.includes('not connected') ? true : undefined,
    );
    assert.equal(await world.attachments(), 1);
    const next = await Mounted.start({ dir, env: mounted.env, test: undo });
    assert.equal(next.said.filter((line) => line.includes('removed a stale mount')).length, 1);
    assert.equal((await run('sha256sum', [target.file])).stdout.slice(0, 64), target.sha256);
    assert.equal(await world.attachments(), 1, 'the attachment was adopted');
    await endsClean({ ...world, mounted: next });
  });

  async function orphaned(t: TestContext): Promise<{ world: SupervisedWorld; engine: number }> {
    const world = await supervisedWorld(t, ['--no-passthrough']);
    await readFile(world.target.file);
    const engine = await engineOf(world.mounted.child.pid ?? 0);
    assert.ok(engine);
    world.undo.after(() => {
      try {
        process.kill(engine, 'SIGKILL');
      } catch {
        // It has ended, as it should.
      }
    });
    const gone = once(world.mounted.child, 'exit');
    world.mounted.child.kill('SIGKILL');
    await gone;
    return { world, engine };
  }
});

describe('the engine is killed', { skip, timeout: 600_000 }, () => {
  it('the moment READY is said, and another one serves', async (t) => {
    const world = await supervisedWorld(t, [], {
      onReady: (supervisor) => process.kill(childOf(supervisor), 'SIGKILL'),
    });
    const { mounted } = world;
    await eventually('another engine serves', async () => {
      assert.equal(mounted.child.exitCode ?? mounted.child.signalCode, null, mounted.said.join('\n'));
      const status = await mounted.status().catch(() => undefined);
      return status?.supervision?.restarts === 1 ? true : undefined;
    });
    await endsClean(world);
  });
});

/** The only child of a process that has one. */
function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
}

describe('cinderfs umount', { skip, timeout: 600_000 }, () => {
  it('--drain refuses new opens and waits for the last close', async (t) => {
    const { world, holder, file } = await held(t);
    const { mounted, target } = world;
    const short = await cinderfs(['umount', mounted.mountpoint, '--drain=1'], mounted.env);
    assert.equal(short.status, 6, short.stderr);
    assert.match(short.stderr, /sleep/);
    const gone = once(mounted.child, 'exit');
    const draining = cinderfs(['umount', '--drain', mounted.mountpoint], mounted.env);
    await untilItDrains(world);
    assert.match((await run('cat', [target.file])).stderr, /temporarily unavailable/);
    await file.close();
    holder.kill();
    assert.equal((await draining).status, 0);
    assert.deepEqual(await gone, [0, null]);
    assert.equal(await world.attachments(), 0);
  });

  it('--lazy hides the mount at once and serves on until the last close', async (t) => {
    const { world, holder, file } = await held(t);
    const { mounted, dir } = world;
    const gone = once(mounted.child, 'exit');
    assert.equal((await cinderfs(['umount', '--lazy', mounted.mountpoint], mounted.env)).status, 0);
    assert.deepEqual(await mountsBelow(dir), []);
    assert.equal(await world.attachments(), 1);
    const expected = await readFile(world.target.source);
    assert.ok((await file.readFile()).equals(expected));
    await file.close();
    holder.kill();
    assert.deepEqual(await gone, [0, null]);
    assert.equal(await world.attachments(), 0);
  });

  it('waits for the engine that comes after one that died', async (t) => {
    const world = await supervisedWorld(t);
    const { mounted } = world;
    const gone = once(mounted.child, 'exit');
    await killEngine(world);
    const { status, stderr } = await cinderfs(['umount', mounted.mountpoint], mounted.env);
    assert.equal(status, 0, stderr);
    assert.deepEqual(await gone, [0, null]);
    assert.equal(await world.attachments(), 0);
  });

  it('names the holders also when the engine has just died', async (t) => {
    const { world } = await held(t);
    await killEngine(world);
    const refused = await cinderfs(['umount', world.mounted.mountpoint], world.mounted.env);
    assert.equal(refused.status, 6, refused.stderr);
    assert.match(refused.stderr, /sleep/);
  });

  it('--drain goes on with the engine that comes after one that died', async (t) => {
    const { world, holder, file } = await held(t);
    const { mounted, target } = world;
    const gone = once(mounted.child, 'exit');
    const draining = cinderfs(['umount', '--drain', mounted.mountpoint], mounted.env);
    await untilItDrains(world);
    await killEngine(world);
    await untilItDrains(world);
    assert.match((await run('cat', [target.file])).stderr, /temporarily unavailable/);
    await file.close();
    holder.kill();
    const { status, stderr } = await draining;
    assert.equal(status, 0, stderr);
    assert.deepEqual(await gone, [0, null]);
    assert.equal(await world.attachments(), 0);
  });

  it('--lazy serves on when the engine dies afterwards', async (t) => {
    const { world, holder, file } = await held(t);
    const { mounted } = world;
    const gone = once(mounted.child, 'exit');
    assert.equal((await cinderfs(['umount', '--lazy', mounted.mountpoint], mounted.env)).status, 0);
    await killEngine(world);
    assert.ok((await file.readFile()).equals(await readFile(world.target.source)));
    await file.close();
    holder.kill();
    assert.deepEqual(await gone, [0, null]);
    assert.equal(await world.attachments(), 0);
  });

  /** A process that holds the image open. */
  async function held(t: TestContext) {
    const world = await supervisedWorld(t, ['--no-passthrough']);
    const file = await open(world.target.file);
    const holder = spawn('sleep', ['1000'], { stdio: [file.fd, 'ignore', 'ignore'] });
    world.undo.after(() => holder.kill());
    await once(holder, 'spawn');
    world.undo.after(() => file.close().catch(() => undefined));
    return { world, holder, file };
  }
});

async function killEngine({ mounted }: SupervisedWorld): Promise<void> {
  const engine = await engineOf(mounted.child.pid ?? 0);
  assert.ok(engine);
  process.kill(engine, 'SIGKILL');
  await eventually('it is dead', () => hasEnded(engine));
}

function untilItDrains({ mounted }: SupervisedWorld): Promise<true> {
  return eventually('it drains', async () => {
    const status = await mounted.status().catch(() => undefined);
    return status?.state === 'draining' ? true : undefined;
  });
}
