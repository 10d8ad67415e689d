/** No engine can be started any more: the mount ends all the same when it is told to. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rename, writeFile } from 'node:fs/promises';
import { it, type TestContext } from 'node:test';
import { engineOf } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { filesBelow, mountsBelow } from '../support/leftovers.js';
import { LAUNCHER, run } from '../support/program.js';
import { within } from '../support/time.js';
import { supervisedWorld, type SupervisedWorld } from './world.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';
const options = { skip, timeout: 600_000 };
/** The status of whatever ended without an engine. */
const WITHOUT = 11;

it('SIGTERM ends a mount whose engines cannot start', options, async (t) => {
  const world = await broken(t);
  const gone = once(world.mounted.child, 'exit');
  world.mounted.child.kill('SIGTERM');
  assert.deepEqual(await within(60_000, gone), [WITHOUT, null]);
  await nothingIsLeft(world);
});

it('umount ends a mount whose engines cannot start, and says what stays', options, async (t) => {
  const world = await broken(t);
  const { mounted } = world;
  const gone = once(mounted.child, 'exit');
  const words = ['90', process.execPath, LAUNCHER, 'umount', mounted.mountpoint];
  const { status, stderr } = await run('timeout', words, mounted.env);
  assert.equal(status, 0, stderr);
  assert.match(stderr, /What is attached stays attached/);
  assert.deepEqual(await gone, [WITHOUT, null]);
  await nothingIsLeft(world);
});

/** From now on no engine can start, and the one that ran is dead. */
async function broken(t: TestContext): Promise<SupervisedWorld> {
  const world = await supervisedWorld(t);
  const { dir, mounted } = world;
  // Whoever starts now finds no journal where it must be.
  await rename(`${dir}/state/attachments`, `${dir}/state/attachments.aside`);
  await writeFile(`${dir}/state/attachments`, '');
  const engine = await engineOf(mounted.child.pid ?? 0);
  assert.ok(engine);
  process.kill(engine, 'SIGKILL');
  await eventually('it says that it loops', () =>
    Promise.resolve(mounted.said.some((line) => line.includes('crash loop')) || undefined),
  );
  return world;
}

async function nothingIsLeft({ dir }: SupervisedWorld): Promise<void> {
  assert.deepEqual(await mountsBelow(dir), []);
  const left = await filesBelow(`${dir}/run`);
  assert.deepEqual(
    left.filter((file) => file.endsWith('supervisor')),
    [],
  );
}
