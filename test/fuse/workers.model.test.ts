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
const SEED = seedFor(20_261_128);

type Command =
  | { readonly do: 'read' | 'stall' | 'heal'; readonly fh: number }
  | { readonly do: 'kill' | 'interrupt'; readonly pick: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'step'; readonly steps: number };

const fh = fc.constantFrom(1, 1, 1, 2);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('read' as const), fh }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('stall' as const, 'heal' as const), fh }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('kill' as const), pick: fc.nat(7) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('interrupt' as const), pick: fc.nat(7) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(60, 300, 1100) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('step' as const), steps: fc.integer({ min: 1, max: 12 }) }),
  },
);

async function obey(world: WorkerWorld, one: Command): Promise<void> {
  switch (one.do) {
    case 'read':
      world.ask(one.fh);
      break;
    case 'stall':
      world.storage(one.fh).stalled = true;
      break;
    case 'heal':
      world.storage(one.fh).heal();
      break;
    case 'kill': {
      const alive = world.actors.filter(({ dead }) => !dead);
      alive[one.pick % alive.length]?.kill();
      break;
    }
    case 'interrupt': {
      const waiting = [...world.asked.values()].filter(({ answers }) => answers.length === 0);
      const read = waiting[one.pick % waiting.length];
      if (read !== undefined) world.interrupt(read.unique);
      break;
    }
    case 'wait':
      await world.clock.advance(one.ms);
      break;
    case 'step':
      await world.step(one.steps);
  }
  await breathe();
}

/** What holds once all storage is well and everybody had the time to say so. */
async function endsWell(world: WorkerWorld): Promise<void> {
  await world.calm(2 * READ_TIMEOUT_MS);
  for (const { unique, answers } of world.asked.values())
    assert.equal(answers.length, 1, `request ${unique} was answered ${answers.map(({ by }) => by).join()}`);
  assert.equal(world.lanes.size, 0, 'no source counts as stalled');
  assert.equal(world.stalled.size, 0, 'no file is queued');
  assert.equal(world.cautious, false);
  for (const { holds, descriptor } of world.storages)
    assert.equal(holds, 0, `${descriptor.name} is let go of`);
  assert.deepEqual(
    [...world.pool.seats()].map(({ state }) => state),
    Array.from({ length: WORKERS }, () => 'serving'),
  );
  const [first, second] = world.storages.map((storage) => world.ask(storage.fh));
  await world.calm(100);
  for (const read of [first, second])
    assert.deepEqual(
      read?.answers.map(({ by }) => by),
      ['worker'],
    );
}

async function lives(scheduler: fc.Scheduler, commands: readonly Command[]): Promise<void> {
  const world = new WorkerWorld(scheduler);
  for (const one of commands) await obey(world, one);
  await endsWell(world);
  world.watch.close();
}

/** A world in which things happen in the order in which they become ready. */
function orderly(crashLimit: number): WorkerWorld {
  return new WorkerWorld(fc.schedulerFor(Array.from({ length: 5000 }, (_, index) => index + 1)), crashLimit);
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
  it(`keep their promises in ${RUNS} random lives (seed ${SEED})`, async () => {
    await assertProperty(
      fc.asyncProperty(fc.scheduler(), fc.array(command, { minLength: 1, maxLength: 40 }), lives),
      { numRuns: RUNS, seed: SEED },
    );
  });
});
