/**
 * Claims, WorkerPool, ReadLanes and StallWatch under every interleaving that fast-check's scheduler finds: storage that
 * stalls and heals, readers that leave, workers that die in any step. A counter-example is replayed as its
 * failure says.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { breathe } from '../fakes/manual-clock.js';
import { assertProperty, runsFor, seedFor } from '../support/seeds.js';
import { READ_TIMEOUT_MS, WORKERS, WorkerWorld } from './worker-world.js';

const RUNS = runsFor(300);
/** More than there may be workers. */
const STORAGES = 8;
const SEED = seedFor(20_261_128);

type Command =
  | { readonly do: 'read' | 'stall' | 'heal' | 'flap'; readonly fh: number }
  | { readonly do: 'kill' | 'kill handed' | 'interrupt'; readonly pick: number }
  | { readonly do: 'outage' | 'storm' }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'step'; readonly steps: number };

/** Commands on storages `1` to `storages`, the first of which is asked more than all others. */
function commandOn(storages: number): fc.Arbitrary<Command> {
  const fh = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: storages }));
  const ms = fc.constantFrom(60, 300, 1100);
  return fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: fc.constant('read' as const), fh }) },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constantFrom('stall' as const, 'heal' as const, 'flap' as const), fh }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constantFrom('kill' as const, 'kill handed' as const), pick: fc.nat(7) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('interrupt' as const), pick: fc.nat(7) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('outage' as const, 'storm' as const) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), ms }) },
    {
      weight: 8,
      arbitrary: fc.record({ do: fc.constant('step' as const), steps: fc.integer({ min: 1, max: 12 }) }),
    },
  );
}

const flapping: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('flap' as const, 'heal' as const), fh: fc.constant(1) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('kill handed' as const), pick: fc.nat(7) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('step' as const), steps: fc.integer({ min: 1, max: 6 }) }),
  },
  { weight: 2, arbitrary: commandOn(2) },
);

async function obey(world: WorkerWorld, one: Command, wait: (ms: number) => Promise<void>): Promise<void> {
  switch (one.do) {
    case 'read':
      world.ask(one.fh);
      break;
    case 'stall':
      world.storage(one.fh).stall();
      break;
    case 'heal':
      world.storage(one.fh).heal();
      break;
    // Of all that one array serves: the last storage is another one's.
    case 'outage':
      for (const storage of world.storages.slice(0, -1)) storage.stall();
      break;
    case 'storm':
      for (const storage of world.storages) world.ask(storage.fh);
      break;
    // Long enough for its reads to be handed out, and for some of them to be begun.
    case 'flap':
      world.storage(one.fh).heal();
      await world.step(6);
      world.storage(one.fh).stall();
      break;
    case 'kill':
    case 'kill handed':
    case 'interrupt':
      strike(world, one.do, one.pick);
      break;
    case 'wait':
      await wait(one.ms);
      break;
    case 'step':
      await world.step(one.steps);
  }
  await breathe();
}

function strike(world: WorkerWorld, what: 'kill' | 'kill handed' | 'interrupt', pick: number): void {
  if (what === 'interrupt') {
    const waiting = [...world.asked.values()].filter(({ answers }) => answers.length === 0);
    const read = waiting[pick % waiting.length];
    if (read !== undefined) world.interrupt(read.unique);
    return;
  }
  const alive = what === 'kill' ? world.actors.filter(({ dead }) => !dead) : world.handedTo();
  alive[pick % alive.length]?.kill();
}

/** What holds once all storage is well and every thread had the time to say so. */
async function endsWell(world: WorkerWorld): Promise<void> {
  await world.calm(2 * READ_TIMEOUT_MS);
  for (const { unique, answers } of world.asked.values())
    assert.equal(answers.length, 1, `request ${unique} was answered ${answers.map(({ by }) => by).join()}`);
  assert.equal(world.lanes.size, 0, 'no source counts as stalled');
  assert.equal(world.stalled.size, 0, 'no file is queued');
  assert.equal(world.degraded, false);
  for (const { holds, descriptor } of world.storages)
    assert.equal(holds, 0, `${descriptor.name} is let go of`);
  assert.deepEqual(
    [...world.pool.workers()].map(({ state }) => state),
    Array.from({ length: WORKERS }, () => 'serving'),
  );
  const last = world.storages.map((storage) => world.ask(storage.fh));
  await world.calm(100);
  for (const { answers } of last)
    assert.deepEqual(
      answers.map(({ by }) => by),
      ['worker'],
    );
}

/** Threads run when the scheduler says, and time passes meanwhile as on a host that is short of processors. */
async function lives(scheduler: fc.Scheduler, commands: readonly Command[]): Promise<void> {
  const world = new WorkerWorld(scheduler);
  for (const one of commands) await obey(world, one, (ms) => world.clock.advance(ms));
  await endsWell(world);
  world.watch.close();
  assert.deepEqual(world.violations, []);
}

/** From a storage on that does not answer, with workers inside and reads that wait: it comes and goes, and they die. */
async function livesStalled(scheduler: fc.Scheduler, commands: readonly Command[]): Promise<void> {
  const world = new WorkerWorld(scheduler);
  world.storage(1).stall();
  for (let reads = 0; reads < 2; reads += 1) world.ask(1);
  await world.live(400);
  for (let reads = 0; reads < 5; reads += 1) world.ask(1);
  await world.step(30);
  for (const one of commands) await obey(world, one, (ms) => world.clock.advance(ms));
  await endsWell(world);
  world.watch.close();
  assert.deepEqual(world.violations, []);
}

/** Threads run whenever they can, in any order: then reads end in time, and more storages than workers may be dead. */
async function livesInTime(scheduler: fc.Scheduler, commands: readonly Command[]): Promise<void> {
  const world = new WorkerWorld(scheduler, { storages: STORAGES });
  for (const one of commands) {
    await obey(world, one, (ms) => world.live(ms));
    assert.deepEqual([...world.violations, ...world.late], []);
  }
  await endsWell(world);
  world.watch.close();
  assert.deepEqual([...world.violations, ...world.late], []);
}

/** A world in which things happen in the order in which they become ready. */
function orderly(crashLimit: number): WorkerWorld {
  return new WorkerWorld(fc.schedulerFor(Array.from({ length: 5000 }, (_, index) => index + 1)), {
    crashLimit,
  });
}

/** One worker dies; everybody hears of it. */
async function lose(world: WorkerWorld): Promise<void> {
  world.actors.find(({ dead }) => !dead)?.kill();
  await world.step(50);
}

describe('the crashes of workers', () => {
  it('end nothing when they are few at a time, however many they become', async () => {
    const world = orderly(4);
    world.watch.close();
    await world.step(50);
    for (let crash = 0; crash < 40; crash += 1) {
      await lose(world);
      await world.clock.advance(60_000);
    }
    assert.equal(world.spent, undefined);
    assert.equal(world.pool.serving, WORKERS);
    const read = world.ask(1);
    await world.step(50);
    assert.deepEqual(
      read.answers.map(({ by }) => by),
      ['worker'],
    );
  });

  it('end the engine when they do not cease, and not the mount', async () => {
    const world = orderly(4);
    world.watch.close();
    await world.step(50);
    for (let crash = 0; crash < 5; crash += 1) await lose(world);
    assert.match(String(world.spent), /too many threads/);
    assert.equal(world.ended, false, 'the mount has not ended: workers still serve it');
    assert.ok(world.pool.serving > 0);
  });
});

describe('the workers of a mount', { timeout: 300_000 }, () => {
  it(`keep their promises in ${RUNS} random lives (seed ${SEED})`, () =>
    assertProperty(
      fc.asyncProperty(fc.scheduler(), fc.array(commandOn(2), { minLength: 1, maxLength: 40 }), lives),
      { numRuns: RUNS, seed: SEED },
    ));

  it('keep them while a storage comes and goes, and those die that empty its lane', () =>
    assertProperty(
      fc.asyncProperty(fc.scheduler(), fc.array(flapping, { minLength: 1, maxLength: 15 }), livesStalled),
      { numRuns: RUNS, seed: SEED },
    ));

  it(`keep those of time, too, while fewer storages are well than dead, in as many lives`, () =>
    assertProperty(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(commandOn(STORAGES), { minLength: 1, maxLength: 60 }),
        livesInTime,
      ),
      { numRuns: RUNS, seed: SEED },
    ));
});
