/** An engine that does not react: the mount ends without it, soon; one that is only slow is waited for. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { it } from 'node:test';
import { engineOf } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { mountsBelow } from '../support/leftovers.js';
import { cinderfs, LAUNCHER, Mounted, run } from '../support/program.js';
import { moment } from '../support/time.js';
import { endsClean, supervisedWorld, type SupervisedWorld } from './world.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';
const options = { skip, timeout: 300_000 };
const DRAIN_S = 3;
const ARGS = ['--no-passthrough', `--drain-timeout=${DRAIN_S}`, '--linger=1h'];
/** Without an engine; something is left attached. */
const [WITHOUT, LEFT] = [11, 12];
/** Beyond drain_timeout: 15 s, and what this machine takes for processes to start. */
const BOUND_MS = (DRAIN_S + 15 + 20) * 1000;

it(
  'umount ends a mount whose engine hangs, shows on a terminal that it works, and --reap detaches',
  options,
  async (t) => {
    const world = await hung(t);
    const { mounted, attachments } = world;
    const gone = once(mounted.child, 'exit');
    const words = [process.execPath, LAUNCHER, 'umount', mounted.mountpoint];
    const began = performance.now();
    // script(1) gives it a terminal.
    const { status, stdout } = await run('script', ['-qec', words.join(' '), '/dev/null'], mounted.env);
    const ms = performance.now() - began;
    assert.equal(status, LEFT, stdout);
    assert.ok(ms < BOUND_MS, `${ms} ms: ${stdout}`);
    assert.match(stdout, /waiting for:\s+the daemon of \S+, which does not answer/);
    assert.match(stdout, /the supervisor \(pid \d+\), which ends the mount without its engine/);
    assert.deepEqual(await gone, [WITHOUT, null]);
    assert.deepEqual(await mountsBelow(world.dir), []);
    assert.equal(await attachments(), 1, 'what is attached stays so');
    const reap = await cinderfs(['attachments', mounted.mountpoint, '--reap'], mounted.env);
    assert.equal(reap.status, 0, reap.stderr);
    assert.equal(await attachments(), 0);
  },
);

it(
  'umount of such a mount says nothing of its progress in a pipe, and the next start detaches',
  options,
  async (t) => {
    const world = await hung(t);
    const { mounted, attachments, dir, undo } = world;
    const { status, stderr } = await cinderfs(['umount', mounted.mountpoint], mounted.env);
    assert.equal(status, LEFT, stderr);
    assert.doesNotMatch(stderr, /waiting/);
    assert.equal(await attachments(), 1);
    const next = await Mounted.start({ dir, env: mounted.env, args: ARGS, test: undo });
    await endsClean({ ...world, mounted: next });
  },
);

it('SIGTERM waits for an engine that has taken it and is slow in draining', options, async (t) => {
  const world = await supervisedWorld(t, ARGS);
  const { mounted, target, undo, attachments } = world;
  const file = await open(target.file);
  // Its mount is gone by then.
  undo.after(() => file.close().catch(() => undefined));
  const engine = await engineOf(mounted.child.pid ?? 0);
  assert.ok(engine);
  const gone = once(mounted.child, 'exit');
  mounted.child.kill('SIGTERM');
  await eventually('it has taken it', () =>
    Promise.resolve(mounted.said.some((line) => line.includes('"stopping"')) || undefined),
  );
  // Longer than for one that has not.
  process.kill(engine, 'SIGSTOP');
  undo.after(() => continueIfThere(engine));
  await moment((DRAIN_S + 15) * 1000);
  process.kill(engine, 'SIGCONT');
  assert.deepEqual(await gone, [0, null], mounted.said.slice(-20).join('\n'));
  assert.equal(await attachments(), 0, 'no attachment is left');
});

/** A mount with an attachment, and its engine stopped. */
async function hung(t: Parameters<typeof supervisedWorld>[0]): Promise<SupervisedWorld> {
  const world = await supervisedWorld(t, ARGS);
  const { mounted, target, undo } = world;
  await readFile(target.file);
  await eventually('no file is open', async () =>
    (await mounted.status()).open_files.length === 0 ? true : undefined,
  );
  assert.equal(await world.attachments(), 1, 'it lingers');
  const engine = await engineOf(mounted.child.pid ?? 0);
  assert.ok(engine);
  process.kill(engine, 'SIGSTOP');
  undo.after(() => continueIfThere(engine));
  return world;
}

function continueIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // It has ended.
  }
}
