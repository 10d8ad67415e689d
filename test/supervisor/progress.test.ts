/** A command that takes its time says on a terminal what it waits for, and nothing into a pipe. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { it } from 'node:test';
import { cinderfs, LAUNCHER, run } from '../support/program.js';
import { endsClean, supervisedWorld } from './world.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';

it('umount --drain names who it waits for, on a terminal alone', { skip, timeout: 120_000 }, async (t) => {
  const world = await supervisedWorld(t, ['--no-passthrough']);
  const { mounted, undo, target } = world;
  const file = await open(target.file);
  const holder = spawn('sleep', ['1000'], { stdio: [file.fd, 'ignore', 'ignore'] });
  undo.after(() => holder.kill());
  await once(holder, 'spawn');
  await file.close();
  const words = [process.execPath, LAUNCHER, 'umount', mounted.mountpoint, '--drain=5'];
  // script(1) gives it a terminal.
  const shown = await run('script', ['-qec', words.join(' '), '/dev/null'], mounted.env);
  assert.match(
    shown.stdout,
    new RegExp(`waiting for:\\s+1 image file is open\\s+sleep \\(pid ${holder.pid ?? 0}\\)`),
  );
  assert.match(shown.stdout, /\[holders\]/);
  const piped = await cinderfs(['umount', mounted.mountpoint, '--drain=4'], mounted.env);
  assert.equal(piped.status, 6);
  assert.doesNotMatch(piped.stderr, /waiting/);
  holder.kill();
  await endsClean(world);
});
