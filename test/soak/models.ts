import { fileURLToPath } from 'node:url';
import { run } from '../support/program.js';
import type { Tally } from './tally.js';

const MODEL = fileURLToPath(new URL('../model/pool.model.test.js', import.meta.url));

/** The lifecycle model with a seed that nobody has tried. */
export async function playModel(tally: Tally, seed: number, runs: number): Promise<void> {
  const env = { CINDERFS_TEST_RUNS: String(runs), CINDERFS_TEST_SEED: String(seed) };
  const { status, stdout } = await run(process.execPath, ['--test', MODEL], env);
  tally.modelRuns += runs;
  if (status !== 0) tally.violation(`the model has a counter-example with seed ${seed}:\n${stdout}`);
}
