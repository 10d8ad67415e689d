import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'node:test';
import { seedFor } from '../support/seeds.js';
import { campaign, replay } from './campaign.js';
import { TARGETS } from './targets/all.js';

/** Inputs that failed once: one folder per target. */
const REGRESSIONS = fileURLToPath(new URL('../../../test/fuzz/regressions', import.meta.url));
const FINDINGS = path.resolve('fuzz-findings');
const FIXED_SEED = 20261128;
const SECONDS = 0.7;

for (const target of TARGETS)
  describe(`whatever is sent to ${target.name}`, () => {
    for (const file of regressionsOf(target.name))
      it(`it takes ${path.basename(file)}, which broke it once`, () =>
        replay(target, readFileSync(file), FINDINGS));

    for (const seed of [FIXED_SEED, seedFor()])
      it(`it breaks nothing (CINDERFS_TEST_SEED=${seed})`, async () => {
        const { failure } = await campaign(target, {
          seed,
          seconds: SECONDS,
          guided: false,
          findings: FINDINGS,
        });
        if (failure !== undefined)
          throw new Error(`replay: npm run fuzz -- ${target.name} --replay ${failure.file}`, {
            cause: failure.error,
          });
      });
  });

function regressionsOf(name: string): readonly string[] {
  const folder = path.join(REGRESSIONS, name);
  try {
    return readdirSync(folder).map((file) => path.join(folder, file));
  } catch {
    return [];
  }
}
