import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { leftAfterEnd, sizeOf } from './gauges.js';
import { playModel } from './models.js';
import { Pace } from './pace.js';
import { playRound } from './round.js';
import { listCounts, Tally } from './tally.js';
import { World } from './world.js';

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  /** Share of one core that readers and daemons may use. */
  readonly cores: number;
}

export interface SoakOutcome {
  readonly summary: string;
  readonly ok: boolean;
}

const TROUBLE_MS = 60_000;
const MODEL_RUNS = 1_000;
/** What a daemon at rest may have more than after its first round. */
const MAX_FDS = 8;
const MAX_RSS = 150 * 2 ** 20;

/** Plays rounds, each with a seed of its own, until the time is over, something is wrong, or SIGTERM ends a round. */
export async function soak({ minutes, seed, cores }: SoakOptions): Promise<SoakOutcome> {
  const tally = new Tally();
  const world = new World(await mkdtemp(path.join(tmpdir(), 'soak-')), tally);
  const begun = performance.now();
  const elapsed = (): number => (performance.now() - begun) / 60_000;
  let rounds = 0;
  let growth = 'nothing measured';
  let stopped = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => (stopped = true));
  try {
    await world.start();
    await world.elder.startUntilReady([]);
    const pace = new Pace(cores);
    const first = await restingSize(world);
    const ms = Math.min(TROUBLE_MS, minutes * 60_000);
    const goesOn = (): boolean => tally.violations.length === 0 && !stopped && elapsed() < minutes;
    for (; rounds === 0 || goesOn(); rounds++) {
      await playRound({ world, pace, seed: seed + rounds, ms });
      await playModel(tally, seed + rounds, MODEL_RUNS);
      const now = await restingSize(world);
      growth = describeGrowth(first, now);
      if (now.fds > first.fds + MAX_FDS || now.rss > first.rss + MAX_RSS)
        tally.violation(`the daemon grew: ${growth}`);
      progress(world, rounds + 1, seed + rounds, elapsed(), growth);
    }
    await endAll(world);
  } finally {
    await world.close();
  }
  const ok = tally.violations.length === 0;
  if (!ok)
    process.stderr.write(
      `soak: logs are in ${world.dir}; replay with --minutes 1 --seed ${seed + rounds - 1}\n`,
    );
  return { ok, summary: summarize(tally, elapsed(), `${seed}..${seed + rounds - 1}`, growth) };
}

async function restingSize(world: World): Promise<{ fds: number; rss: number }> {
  const { pid } = world.elder;
  return pid === undefined ? { fds: 0, rss: 0 } : sizeOf(pid);
}

function describeGrowth(first: { fds: number; rss: number }, now: { fds: number; rss: number }): string {
  const mib = (bytes: number): number => Math.round(bytes / 2 ** 20);
  return `descriptors ${first.fds} -> ${now.fds}, resident ${mib(first.rss)} -> ${mib(now.rss)} MiB`;
}

async function endAll(world: World): Promise<void> {
  for (const host of world.hosts) await host.end('SIGTERM');
  const left = await leftAfterEnd(world);
  world.tally.leftovers += left.length;
  for (const what of left) world.tally.violation(`left at the end: ${what}`);
}

function progress({ tally }: World, round: number, seed: number, minutes: number, growth: string): void {
  process.stderr.write(
    `soak: round ${round} (seed ${seed}) done after ${minutes.toFixed(1)} min: ${tally.opens} opens, ` +
      `${tally.kills} kills; recovered in ${seconds(tally.slowestRecovery)} s, at rest in ${seconds(tally.slowestRest)} s at worst; ${growth}\n`,
  );
}

function summarize(tally: Tally, minutes: number, seeds: string, growth: string): string {
  const gigabytes = (tally.bytes / 1e9).toFixed(1);
  return [
    `soak: ${minutes.toFixed(1)} minutes, seeds ${seeds}`,
    `${tally.opens} opens, ${gigabytes} GB compared`,
    `${tally.kills} kills, ${tally.umounts} umounts`,
    `hurts: ${listCounts(tally.hurts)}`,
    `errors: ${listCounts(tally.errors)}`,
    `${tally.modelRuns} model runs`,
    `slowest recovery ${seconds(tally.slowestRecovery)} s, slowest rest ${seconds(tally.slowestRest)} s`,
    growth,
    `violations ${tally.violations.length}, wrong bytes ${tally.wrongBytes}, leftovers ${tally.leftovers}`,
  ].join('; ');
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1);
