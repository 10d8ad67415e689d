import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { randomFor, someBytes } from '../support/seeds.js';
import { run } from '../support/program.js';

const SEEDS = new URL('../support/seeds.js', import.meta.url).href;

/** A property that large numbers fail, in a process of its own; what its failure says. */
async function failure(env: NodeJS.ProcessEnv = {}): Promise<string> {
  const script = `
    import fc from 'fast-check';
    import { assertProperty } from '${SEEDS}';
    try { assertProperty(fc.property(fc.nat(), (number) => number < 100_000)); }
    catch (error) { console.log(error.message); }`;
  return (await run(process.execPath, ['--input-type=module', '-e', script], env)).stdout;
}

describe('the seed of a random test', () => {
  it('is in the failure of a property, with the path of the counter-example, and both replay it', async () => {
    const first = await failure();
    const [, seed, path] = /CINDERFS_TEST_SEED=(\d+) CINDERFS_TEST_PATH=(\S+)/.exec(first) ?? [];
    assert.match(first, /Counterexample: \[100000\]/);
    const again = await failure({ CINDERFS_TEST_SEED: seed, CINDERFS_TEST_PATH: path });
    assert.match(again, /failed after 1 tests/);
    assert.match(again, /Counterexample: \[100000\]/);
  });

  it('is a new one for each run, and the environment sets it and the number of cases', async () => {
    const seedOf = (text: string): string | undefined => /CINDERFS_TEST_SEED=(\d+)/.exec(text)?.[1];
    assert.notEqual(seedOf(await failure()), seedOf(await failure()));
    assert.equal(seedOf(await failure({ CINDERFS_TEST_SEED: '7' })), '7');
    assert.equal(await failure({ CINDERFS_TEST_SEED: '7', CINDERFS_TEST_RUNS: '0' }), '');
  });

  it('of choices stands among the diagnostics of their test', () => {
    const said: string[] = [];
    const choices = (): number[] => {
      const random = randomFor({ diagnostic: (line) => said.push(line) }, 5);
      return Array.from({ length: 20 }, () => random.whole(0, 1000));
    };
    assert.deepEqual(choices(), choices());
    assert.match(said.join(), /^CINDERFS_TEST_SEED=\d+ makes the same choices/);
  });

  it('of content is not that of its next', () => {
    const [one, other] = [someBytes(4096), someBytes(4095)];
    assert.equal(other.length, 4095);
    assert.ok(!one.subarray(0, 4095).equals(other));
  });
});
