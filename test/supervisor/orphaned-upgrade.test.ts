/** The supervisor is killed in the middle of an upgrade, with the old engine stopped: the new one serves. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { engineOf, enginesOn, hasEnded } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { cinderfs, run } from '../support/program.js';
import { supervisedWorld } from './world.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';

it(
  'a supervisor that dies in an upgrade leaves a mount that is served',
  { skip, timeout: 300_000 },
  async (t) => {
    const world = await supervisedWorld(t, ['--no-passthrough']);
    const { mounted, target, undo } = world;
    const supervisor = mounted.child.pid ?? 0;
    const old = await engineOf(supervisor);
    assert.ok(old);
    undo.after(async () => {
      for (const engine of await enginesOn(mounted.mountpoint)) process.kill(engine, 'SIGKILL');
    });
    const upgrading = cinderfs(['upgrade', mounted.mountpoint], mounted.env);
    const gone = once(mounted.child, 'exit');
    // It is stopped for as long as its successor opens what was open: too short for a look every 100 ms.
    while (stateOf(old) !== 'T') await new Promise((resolve) => setImmediate(resolve));
    mounted.child.kill('SIGKILL');
    await gone;
    const hash = await run('timeout', ['60', 'sha256sum', target.file]);
    assert.equal(hash.stdout.slice(0, 64), target.sha256, hash.stderr);
    await eventually('the old engine is gone', () => hasEnded(old));
    const engines = await enginesOn(mounted.mountpoint);
    assert.equal(engines.length, 1);
    assert.notEqual(engines[0], old);
    assert.equal((await cinderfs(['umount', mounted.mountpoint], mounted.env)).status, 0);
    assert.equal(await world.attachments(), 0);
    await upgrading;
  },
);

function stateOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
}
