/** Engines that die as fast as they are started: readers wait until their deadline, get EIO, and the mount stays. */
import assert from 'node:assert/strict';
import { open, rename, rm, writeFile } from 'node:fs/promises';
import { it, type TestContext } from 'node:test';
import { engineOf } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { run } from '../support/program.js';
import { endsClean, supervisedWorld, type SupervisedWorld } from './world.js';

const READ_TIMEOUT_S = 3;
const LIMITS = [`--read-timeout=${READ_TIMEOUT_S}`, '--open-timeout=4', '--no-passthrough'];
const cannotMount = process.getuid?.() === 0 ? false : 'mounting needs root';
const options = { skip: cannotMount, timeout: 600_000 };

it('engines that cannot start', options, (t) => loop(t, []));
it('engines that cannot start, where the kernel sends nothing again', options, (t) =>
  loop(t, ['--no-resend']),
);

async function loop(t: TestContext, args: readonly string[]): Promise<void> {
  const world = await supervisedWorld(t, [...LIMITS, ...args]);
  const { mounted, target } = world;
  const file = await open(target.file);
  world.undo.after(() => file.close().catch(() => undefined));
  const mend = await breakEngines(world);
  await eventually('it says that it loops', () => Promise.resolve(said(world, 'crash loop')));
  const began = performance.now();
  const read = await run('dd', [
    `if=/proc/${process.pid}/fd/${file.fd}`,
    'bs=4096',
    'count=1',
    'status=none',
  ]);
  assert.match(read.stderr, /Input\/output error/, 'a new open gets EIO');
  await assert.rejects(file.read(Buffer.alloc(4096), 0, 4096, 8192), { code: 'EIO' });
  const stat = await run('stat', ['-f', mounted.mountpoint]);
  assert.match(stat.stderr, /Input\/output error/);
  assert.ok(said(world, 'answered EIO at their deadline'), 'no EIO without a reason');
  t.diagnostic(`an open, a read and a stat took ${Math.round(performance.now() - began)} ms`);
  await engineIs(world, 'dead');
  await mend();
  await engineIs(world, 'started');
  const hash = run('sha256sum', [target.file]);
  assert.equal((await hash).stdout.slice(0, 64), target.sha256, 'who still waits gets the bytes');
  await file.read(Buffer.alloc(4096), 0, 4096, 8192);
  await file.close();
  await endsClean(world);
}

/** From now on no engine can start, and the one that runs is dead; undone by what it answers with. */
async function breakEngines({ dir, mounted }: SupervisedWorld): Promise<() => Promise<void>> {
  // Whoever starts now finds no journal where it must be.
  const journal = `${dir}/state/attachments`;
  await rename(journal, `${journal}.aside`);
  await writeFile(journal, '');
  const engine = await engineOf(mounted.child.pid ?? 0);
  assert.ok(engine);
  process.kill(engine, 'SIGKILL');
  return async () => {
    await rm(journal);
    await rename(`${journal}.aside`, journal);
  };
}

function engineIs({ mounted }: SupervisedWorld, state: 'dead' | 'started'): Promise<true> {
  return eventually(`an engine is ${state}`, async () =>
    ((await engineOf(mounted.child.pid ?? 0)) === undefined) === (state === 'dead') ? true : undefined,
  );
}

function said({ mounted }: SupervisedWorld, what: string): true | undefined {
  return mounted.said.some((line) => line.includes(what)) ? true : undefined;
}
