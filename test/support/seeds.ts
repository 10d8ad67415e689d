/**
 * Where the choices of random tests come from. Every seed is printed and can be given again: CINDERFS_TEST_SEED replays
 * a run, with CINDERFS_TEST_PATH only the counter-example in it that fast-check found. CINDERFS_TEST_RUNS says how many
 * cases each property is tried with. test/scripts/test-rules.test.ts keeps other sources out of the tests.
 */
import fc from 'fast-check';
import { Random } from './random.js';

/** An empty variable is none. */
const [SEED, PATH, RUNS] = ['SEED', 'PATH', 'RUNS']
  .map((name) => process.env[`CINDERFS_TEST_${name}`])
  .map((value) => (value === '' ? undefined : value));

/** Content that need not differ from run to run. */
const CONTENT_SEED = 20_261_128;
const content = new Random(givenSeed() ?? CONTENT_SEED);

/** The seed that was given, else `fixed`, else one that was not tried yet. */
export function seedFor(fixed?: number): number {
  return givenSeed() ?? fixed ?? Math.floor(Math.random() * 2 ** 31);
}

/** How many cases a property is tried with: `usual`, unless the environment says otherwise. */
export function runsFor(usual: number): number {
  return RUNS === undefined ? usual : Number(RUNS);
}

/** A source of choices for `test`, whose seed stands among the diagnostics of the test. */
export function randomFor(test: { diagnostic(message: string): void }, fixed?: number): Random {
  const seed = seedFor(fixed);
  test.diagnostic(`CINDERFS_TEST_SEED=${seed} makes the same choices`);
  return new Random(seed);
}

/** Content for a file or a message. Later calls give other bytes; every run of a file gives the same. */
export function someBytes(length: number): Buffer {
  return content.bytes(length);
}

/** fc.assert whose failure says how it is replayed. `seed` holds where the environment names none. */
export function assertProperty<Ts>(
  property: fc.IAsyncProperty<Ts>,
  parameters?: fc.Parameters<Ts>,
): Promise<void>;
export function assertProperty<Ts>(property: fc.IProperty<Ts>, parameters?: fc.Parameters<Ts>): void;
export function assertProperty<Ts>(
  property: fc.IAsyncProperty<Ts> | fc.IProperty<Ts>,
  parameters: fc.Parameters<Ts> = {},
): Promise<void> | void {
  return fc.assert(property, {
    ...parameters,
    seed: seedFor(parameters.seed),
    numRuns: runsFor(parameters.numRuns ?? 100),
    includeErrorInReport: true,
    ...(PATH === undefined ? {} : { path: PATH }),
    reporter: report,
  });
}

function report<Ts>(details: fc.RunDetails<Ts>): void {
  if (!details.failed) return;
  const path = details.counterexamplePath === null ? '' : ` CINDERFS_TEST_PATH=${details.counterexamplePath}`;
  const replay = `Replay this test file with CINDERFS_TEST_SEED=${details.seed}${path}`;
  throw new Error(`${replay}\n${fc.defaultReportMessage(details) ?? ''}`, { cause: details.errorInstance });
}

function givenSeed(): number | undefined {
  return SEED === undefined ? undefined : Number(SEED);
}
