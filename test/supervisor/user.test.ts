/** A mount of an ordinary user (fusermount3) outlives its engines as root's does. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { access, mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { engineOf } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { cinderfs, run } from '../support/program.js';
import { Undo } from '../support/undo.js';
import { hashing, type Load } from './loads.js';
import { endsClean, supervisedWorld } from './world.js';

const NOBODY = 65_534;
const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
const KILLS = 5;
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const cannot =
  process.getuid?.() !== 0
    ? 'becoming another user needs root'
    : await access('/bin/fusermount3').then(
        () => false,
        () => 'fusermount3 is not installed',
      );

it(
  'a mount of an ordinary user is served on when its engines are killed, and taken over',
  { skip: cannot, timeout: 600_000 },
  async (t) => {
    const undo = new Undo(t);
    const launcher = path.join(await programFor(undo), 'bin/cinderfs.cjs');
    const world = await supervisedWorld(t, [], { user: { uid: NOBODY, launcher } });
    const { mounted, target } = world;
    const held = await holdOpen(target.file, undo);
    const reader = hashing(target, AS_NOBODY);
    let stopped = false;
    undo.after(() => (stopped ? [] : reader.stop()));
    for (let kills = 0; kills < KILLS; kills += 1) {
      const engine = await engineOf(mounted.child.pid ?? 0);
      assert.ok(engine);
      process.kill(engine, 'SIGKILL');
      await another(reader);
    }
    const upgraded = await cinderfs(['upgrade', mounted.mountpoint], mounted.env);
    assert.equal(upgraded.status, 0, upgraded.stderr);
    await another(reader);
    stopped = true;
    assert.deepEqual(await reader.stop(), [], mounted.said.slice(-20).join('\n'));
    assert.equal((await mounted.status()).supervision?.restarts, KILLS);
    assert.equal((await held.rest()).slice(0, 64), target.sha256);
    await endsClean(world);
  },
);

/** The program where NOBODY can reach it: a checkout may lie below a home that is closed to others. */
async function programFor(undo: Undo): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), 'cinderfs-program-'));
  // rmdir: what is mounted here must never be removed with its files.
  undo.after(() => rmdir(dir));
  await run('chmod', ['755', dir]);
  const bound = await run('mount', ['--bind', ROOT, dir]);
  assert.equal(bound.status, 0, bound.stderr);
  undo.after(() => run('umount', ['-l', dir]));
  return dir;
}

/** A process of NOBODY that has the file open; rest() is what sha256sum says of what it then reads. */
async function holdOpen(file: string, undo: Undo): Promise<{ rest(): Promise<string> }> {
  const [first = '', ...rest] = AS_NOBODY;
  const script = 'exec 3<"$1"; echo open; cat; exec sha256sum <&3';
  const child = spawn(first, [...rest, 'bash', '-c', script, 'hold', file], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  undo.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, 'open');
  return {
    async rest() {
      child.stdin.end();
      return String((await lines.next()).value);
    },
  };
}

/** Waits for a pass that began after now. */
async function another(reader: Load): Promise<void> {
  const goal = reader.passes() + 2;
  await eventually('it is read again', () => Promise.resolve(reader.passes() >= goal ? true : undefined));
}
