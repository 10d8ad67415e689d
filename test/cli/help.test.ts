/**
 * What every `--help` says, word for word: test/cli/help/VERB.txt. After a change that is meant, `npm run docs` writes the
 * files again, and the diff shows the change.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { VERBS } from '../../src/cli/verbs.js';
import { cinderfs } from '../support/program.js';

const FOLDER = 'test/cli/help';
/** Those that no person types are in no list; what they say is kept all the same. */
const HELPS = ['cinderfs', ...VERBS.map(({ name }) => name), 'engine', 'answerer'];

describe('--help', () => {
  for (const name of HELPS)
    it(`of ${name} says what ${name}.txt says, and ends with 0`, async () => {
      const { status, stdout, stderr } = await cinderfs(name === 'cinderfs' ? ['--help'] : [name, '--help']);
      assert.deepEqual([status, stderr], [0, '']);
      assert.equal(stdout, readFileSync(`${FOLDER}/${name}.txt`, 'utf8'));
    });

  it('is kept of nothing else', () => {
    assert.deepEqual(readdirSync(FOLDER).sort(), HELPS.map((name) => `${name}.txt`).sort());
  });

  it('stands in docs/commands.md as it is', () => {
    const reference = readFileSync('docs/commands.md', 'utf8');
    for (const name of ['cinderfs', ...VERBS.map((verb) => verb.name)]) {
      const text = readFileSync(`${FOLDER}/${name}.txt`, 'utf8');
      assert.ok(reference.includes(`\`\`\`text\n${text.trimEnd()}\n\`\`\``), name);
    }
  });
});
