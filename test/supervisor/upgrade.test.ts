/** Upgrades under readers. CINDERFS_UPGRADES says how many, for the figures in docs/history/reliability.md. */
import assert from 'node:assert/strict';
import { rename, rm, writeFile } from 'node:fs/promises';
import { it } from 'node:test';
import { cinderfs, run } from '../support/program.js';
import { engineOf } from '../support/engines.js';
import { eightReaders } from './loads.js';
import { endsClean, supervisedWorld } from './world.js';

const UPGRADES = Number(process.env.CINDERFS_UPGRADES ?? 2);
const cannotMount = process.getuid?.() === 0 ? false : 'mounting needs root';

it(
  'another engine takes a mount over while sixteen readers read',
  { skip: cannotMount, timeout: 7_200_000 },
  async (t) => {
    const world = await supervisedWorld(t, ['--no-passthrough']);
    const { mounted, target } = world;
    const supervisor = mounted.child.pid ?? 0;
    const loads = [eightReaders(target), eightReaders(target)];
    world.undo.after(() => Promise.all(loads.map((load) => load.stop())));
    const pauses: number[] = [];
    for (let done = 0; done < UPGRADES; done += 1) {
      const before = await engineOf(supervisor);
      const { status, stdout, stderr } = await cinderfs(['upgrade', mounted.mountpoint], mounted.env);
      assert.equal(status, 0, stderr);
      assert.notEqual(await engineOf(supervisor), before);
      pauses.push(Number(/paused (\d+) ms/.exec(stdout)?.[1]));
    }
    const wrong = await Promise.all(loads.map((load) => load.stop()));
    assert.deepEqual(wrong.flat(), [], mounted.said.join('\n'));
    pauses.sort((a, b) => a - b);
    const at = (part: number): number =>
      pauses[Math.min(pauses.length - 1, Math.floor(pauses.length * part))] ?? NaN;
    t.diagnostic(
      `${UPGRADES} upgrades paused ${at(0.5)} ms (median), ${at(0.99)} ms (p99), ${at(1)} ms at most`,
    );
    assert.equal((await mounted.status()).supervision?.restarts, 0);
    await endsClean(world);
  },
);

it(
  'a successor that does not take over leaves the old engine serving',
  { skip: cannotMount, timeout: 600_000 },
  async (t) => {
    const world = await supervisedWorld(t);
    const { mounted, target, dir } = world;
    const before = await engineOf(mounted.child.pid ?? 0);
    // Whoever starts now finds no journal where it must be.
    const journal = `${dir}/state/attachments`;
    await rename(journal, `${journal}.aside`);
    await writeFile(journal, '');
    const { status, stderr } = await cinderfs(['upgrade', mounted.mountpoint], mounted.env);
    await rm(journal);
    await rename(`${journal}.aside`, journal);
    assert.equal(status, 6, stderr);
    assert.match(stderr, /goes on/);
    assert.equal(await engineOf(mounted.child.pid ?? 0), before);
    assert.equal((await run('sha256sum', [target.file])).stdout.slice(0, 64), target.sha256);
    const again = await cinderfs(['upgrade', mounted.mountpoint], mounted.env);
    assert.equal(again.status, 0, again.stderr);
    await endsClean(world);
  },
);
