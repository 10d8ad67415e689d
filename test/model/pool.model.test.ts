/**
 * The lifecycle against a model: random commands on a pool with a simulated Cinder and host, every interleaving of their
 * answers chosen by fast-check's scheduler, faults and crashes anywhere. A counter-example is replayed as its failure
 * says, and then pinned as a test of its own.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ListingFate } from '../fakes/simulated-glance.js';
import { assertProperty, runsFor, seedFor } from '../support/seeds.js';
import type { Fate } from './mortal-calls.js';
import type { Command, Disturbance } from './pool-commands.js';
import { PoolModel } from './pool-model.js';

const RUNS = runsFor(10_000);
const SEED = seedFor(20_260_101);

const volume = fc.constantFrom('v1', 'v1', 'v1', 'v2', 'single', 'single');
const pick = fc.nat(7);

function on(
  weight: number,
  name: Disturbance['do'] | 'open' | 'release_image',
): fc.WeightedArbitrary<Command> {
  return { weight, arbitrary: fc.record({ do: fc.constant(name), volume }) };
}

const command = fc.oneof(
  on(8, 'open'),
  on(1, 'vanish'),
  on(1, 'hang'),
  on(1, 'thaw'),
  on(2, 'reuse_lun'),
  on(2, 'force_delete'),
  on(1, 'release_image'),
  on(1, 'other_host'),
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('list' as const),
      volume,
      fate: fc.constantFrom<ListingFate[]>(
        'vanishes',
        'deactivated',
        'incomplete',
        'lookup_fails',
        'returns',
      ),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('close' as const), pick, evict: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('give_up' as const), pick }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(10, 1_500, 7_000, 70_000) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('step' as const), steps: fc.integer({ min: 1, max: 70 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('look' as const, 'crash' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('engine_dies' as const), stepsBetween: fc.nat(40) }),
  },
);

/** What becomes of each call, in order: mostly nothing, and nothing once the list is used up. */
const fates = fc.array(
  fc.constantFrom<Fate[]>('none', 'none', 'none', 'none', 'none', 'none', 'refuse', 'lose'),
  {
    maxLength: 40,
  },
);

describe('the pool, its journal, Cinder and the host', () => {
  it(`keep their promises in ${RUNS} random lives (seed ${SEED})`, async () => {
    await assertProperty(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(command, { minLength: 1, maxLength: 30 }),
        fates,
        fc.constantFrom('linger' as const, 'drain' as const),
        fc.constantFrom('none' as const, 'clone' as const),
        async (scheduler, commands, next, how, isolate) => {
          const model = new PoolModel(scheduler, next, isolate);
          for (const each of commands) await model.run(each);
          await model.finish(how);
          assert.deepEqual(model.violations, [], model.violations.join('; '));
        },
      ),
      { numRuns: RUNS, seed: SEED },
    );
  });
});
