/**
 * SIGKILL of the engine at random moments under every kind of reader: no digest wrong, no error, nothing hung, nothing
 * left. CINDERFS_KILLS says how often (500 in docs/history/reliability.md), CINDERFS_TEST_CLOUD=lab where,
 * CINDERFS_RESEND=false that the kernel sends nothing again in any of them.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { ControlClient } from '../../src/cli/control/control-client.js';
import type { DaemonStatus } from '../../src/ops/status.js';
import { engineOf } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { randomFor } from '../support/seeds.js';
import { moment } from '../support/time.js';
import { loadsOn } from './loads.js';
import { endsClean, supervisedWorld, type SupervisedWorld, type WorldOptions } from './world.js';

const KILLS = Number(process.env.CINDERFS_KILLS ?? 15);
/**
 * Kills that happen to come as fast as in a crash loop make the supervisor try slowly, for longer than readers wait by
 * default: then EIO would be right. No error is, as long as they are patient.
 */
const PATIENCE = '--read-timeout=600';
/** Longest life of an engine; one in four is killed while it is still being started. */
const PAUSE_MS = Number(process.env.CINDERFS_KILL_PAUSE ?? 1_500);
const cannotMount = process.getuid?.() === 0 ? false : 'mounting needs root';

describe('an engine that is killed', { skip: cannotMount, timeout: 7_200_000 }, () => {
  it('while workers read', (t) => killed(t, share(0.5), ['--no-passthrough']));
  it('while blocks come over NBD', (t) => killed(t, share(0.3), ['--connector=qemu']));
  it('while workers read, where the kernel sends nothing again', (t) =>
    killed(t, share(0.3), ['--no-passthrough', '--no-resend']));
  it('while the kernel reads by itself', (t) => killed(t, share(0.2), [], { volumeBytes: 'exact' }));
});

function share(part: number): number {
  return Math.round(KILLS * part);
}

async function killed(
  t: TestContext,
  kills: number,
  args: readonly string[],
  options?: WorldOptions,
): Promise<void> {
  const world = await supervisedWorld(t, [...args, PATIENCE], options);
  const loads = loadsOn(world.target, `${world.dir}/converted`);
  let stopped = false;
  world.undo.after(() => (stopped ? [] : Promise.all(loads.map((load) => load.stop()))));
  await kill(world, kills, t).catch((error: unknown) => {
    t.diagnostic(world.mounted.said.slice(-40).join('\n'));
    throw error;
  });
  const wrong = await Promise.all(loads.map((load) => load.stop()));
  stopped = true;
  assert.deepEqual(wrong.flat(), [], complaints(world).join('\n'));
  for (const load of loads) assert.notEqual(load.passes(), 0, `${load.name} never finished a pass`);
  t.diagnostic(loads.map((load) => `${load.name}: ${load.passes()}`).join(', '));
  const { supervision } = await world.mounted.status();
  assert.equal(supervision?.restarts, kills);
  t.diagnostic(recoveries(world));
  await endsClean(world);
}

async function kill(world: SupervisedWorld, kills: number, t: TestContext): Promise<void> {
  const supervisor = world.mounted.child.pid ?? 0;
  const random = randomFor(t);
  let last: number | undefined;
  for (let done = 0; done < kills; done += 1) {
    last = await eventually('there is another engine', async () => {
      const engine = await engineOf(supervisor);
      return engine === last ? undefined : engine;
    });
    if (done % 4 !== 3) await eventually('it serves', () => serves(world, last));
    await moment(random.whole(0, PAUSE_MS));
    process.kill(last, 'SIGKILL');
    if ((done + 1) % 50 === 0) t.diagnostic(`${done + 1} kills`);
  }
}

async function serves(
  { dir, mounted: { mountpoint } }: SupervisedWorld,
  engine: number | undefined,
): Promise<true | undefined> {
  const client = ControlClient.forMountpoint(path.join(dir, 'run'), mountpoint);
  const status = await client.get<DaemonStatus>('/status').catch(() => undefined);
  return status?.state === 'serving' && status.engine_pid === engine ? true : undefined;
}

/** What the engines and their supervisor did not like, but for the kills themselves. */
function complaints({ mounted }: SupervisedWorld): readonly string[] {
  return mounted.said.filter((line) => !line.includes('"level":"info"') && !line.includes('the engine died'));
}

/** How long the mount was without an engine. */
function recoveries({ mounted }: SupervisedWorld): string {
  const times = mounted.said
    .filter((line) => line.includes('the mount is served again'))
    .map((line) => (JSON.parse(line) as { ms: number }).ms)
    .sort((a, b) => a - b);
  const at = (part: number): number =>
    times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? 0;
  return `served again after ${at(0.5)} ms (median), ${at(0.99)} ms (p99), ${at(1)} ms at most`;
}
