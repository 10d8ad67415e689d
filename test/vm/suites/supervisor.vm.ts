/** A mount that outlives its engine where the kernel sends no request again: Debian 12's Linux 6.1. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../../src/async/clock.js';
import { runDirOf } from '../../../src/daemon/run-dir.js';
import { openFuseChannel } from '../../../src/supervisor/fuse-channel.js';
import { Supervisor } from '../../../src/supervisor/supervisor.js';
import { engineOf } from '../../support/engines.js';
import { eventually } from '../../support/eventually.js';
import { filesBelow, mountsBelow } from '../../support/leftovers.js';
import { LAUNCHER } from '../../support/program.js';
import { Undo } from '../../support/undo.js';
import { eightReaders, mapReader, type Load } from '../../supervisor/loads.js';
import { loadModules, sh } from '../support/command.js';
import { writeContent } from '../support/content.js';

const KILLS = 6;
const MIB = 2;
/** Everything is emulated. */
const PATIENCE_MS = 300_000;
const ENGINE = fileURLToPath(new URL('../support/engine-process.js', import.meta.url));
const FOLDER = '/run/supervised';
const MOUNTPOINT = `${FOLDER}/images`;
const RUN_DIR = runDirOf({ run_dir: FOLDER }, MOUNTPOINT);

test('an engine that is killed under readers, and replaced', async (t) => {
  const undo = new Undo(t);
  const { target, serves, ended } = await world(undo);
  const loads = [eightReaders(target), mapReader(target)];
  undo.after(() => Promise.all(loads.map((load) => load.stop())));
  for (let killed = 0; killed < KILLS; killed += 1) {
    await passes(loads);
    assert.ok(existsSync(`${RUN_DIR}/in-flight`), 'requests are kept');
    const engine = await engineOf(process.pid);
    assert.ok(engine);
    process.kill(engine, 'SIGKILL');
    await eventually('another serves', () => Promise.resolve(serves(killed + 1)), PATIENCE_MS);
  }
  await passes(loads);
  const wrong = await Promise.all(loads.map((load) => load.stop()));
  assert.deepEqual(wrong.flat(), []);
  t.diagnostic(loads.map((load) => `${load.name}: ${load.passes()}`).join(', '));
  sh('umount', MOUNTPOINT);
  await ended;
  assert.deepEqual(await mountsBelow(FOLDER), []);
  assert.deepEqual(await filesBelow(FOLDER), [target.source]);
});

async function world(undo: Undo) {
  loadModules('fuse');
  for (const folder of [MOUNTPOINT, RUN_DIR]) mkdirSync(folder, { recursive: true });
  // Where the answerer finds what is kept.
  process.env.CINDERFS_RUN_DIR = FOLDER;
  const source = `${FOLDER}/source`;
  const sha256 = writeContent(source, MIB, 'load');
  let replaced = 0;
  const log = (fields: object, text: string): void => {
    if (text.includes('is served again')) replaced += 1;
    process.stderr.write(`${text} ${JSON.stringify(fields)}\n`);
  };
  const channel = await openFuseChannel();
  const started = (onReady: () => void): Supervisor =>
    new Supervisor({
      command: [ENGINE, 'engine', source, MOUNTPOINT, RUN_DIR],
      // An engine takes so long here that it is always answered for.
      answerer: [LAUNCHER, 'answerer', MOUNTPOINT, '--read-timeout=600', '--open-timeout=600'],
      channel,
      drainMs: 10_000,
      onReady,
      onEnding: () => undefined,
      onFailed: (_, line) => assert.fail(line),
      log: { debug: log, info: log, warn: log, error: log },
      clock: systemClock,
    });
  const { ended } = await new Promise<{ ended: Promise<unknown> }>((resolve) => {
    const supervisor = started(() => resolve({ ended }));
    const ended = supervisor.run();
  });
  undo.after(async () => {
    if ((await mountsBelow(FOLDER)).length > 0) sh('umount', '-l', MOUNTPOINT);
    await ended;
  });
  return {
    target: { file: `${MOUNTPOINT}/image`, source, sha256, byFio: false },
    serves: (times: number) => (replaced >= times ? true : undefined),
    ended,
  };
}

/** Each reader has begun after now and finished a pass. */
async function passes(loads: readonly Load[]): Promise<void> {
  const before = loads.map((load) => load.passes());
  await eventually(
    'every reader gets on',
    () =>
      Promise.resolve(loads.every((load, at) => load.passes() > (before[at] ?? 0) + 1) ? true : undefined),
    PATIENCE_MS,
  );
}
