/** An engine that throws where nobody catches: its threads wait for requests, which must not keep the process. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { it } from 'node:test';
import { engineOf } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/temporary.js';
import { run } from '../support/program.js';
import { endsClean, supervisedWorld } from './world.js';

const cannotMount = process.getuid?.() === 0 ? false : 'mounting needs root';
const BUG = "process.on('SIGUSR2', () => setImmediate(() => { throw new Error('a bug'); }));";

it('is replaced although nobody reads', { skip: cannotMount, timeout: 600_000 }, async (t) => {
  const bug = path.join(await temporaryFolder(t), 'bug.cjs');
  await writeFile(bug, BUG);
  const world = await supervisedWorld(t, ['--no-passthrough'], {
    env: { NODE_OPTIONS: `--require=${bug}` },
  });
  const { mounted, target } = world;
  const engine = await engineOf(mounted.child.pid ?? 0);
  assert.ok(engine);
  process.kill(engine, 'SIGUSR2');
  await eventually('another engine serves', () =>
    Promise.resolve(mounted.said.some((line) => line.includes('is served again')) ? true : undefined),
  );
  assert.ok(
    mounted.said.some((line) => line.includes('a bug')),
    'it said what it died of',
  );
  assert.equal((await run('sha256sum', [target.file])).stdout.slice(0, 64), target.sha256);
  await endsClean(world);
});
