/** What no test may do, as text: the rules of CONTRIBUTING.md that eslint does not see. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

interface Rule {
  readonly name: string;
  readonly breach: RegExp;
  /** Files and folders of test/ that may. */
  readonly except: readonly string[];
  /** A breach, so that a pattern which finds nothing any more is seen. */
  readonly example: string;
}

const RULES: readonly Rule[] = [
  {
    name: 'choices have a seed that is printed and can be given again (test/support/seeds.ts)',
    breach: /\bMath\.random\b|\brandom(?:Bytes|FillSync|Fill|Int)\b|\bgetRandomValues\b/,
    // Users and passwords of a cloud that is not ours alone.
    except: ['support/seeds.ts', 'openstack/secrets.test.ts'],
    example: 'await wait(Math.random() * 500);',
  },
  {
    name: 'properties are replayed as all others are: assertProperty() of test/support/seeds.ts',
    breach: /\bfc\s*\.\s*(?:assert|check|sample|configureGlobal)\b/,
    // A campaign keeps the input that fails, not its seed.
    except: ['support/seeds.ts', 'fuzz/campaign.ts'],
    example: 'fc.assert(fc.property(fc.nat(), holds));',
  },
  {
    name: 'time passes in test/support/time.ts: events and states are awaited, silence is quietFor()',
    breach: /\bset(?:Timeout|Interval)\b|\b(?:sleep|delay|scheduler\.wait)\(/,
    // A clock, the thread that sees that this one hangs, and the test of what calls setTimeout.
    except: ['support/time.ts', 'fakes/fast-clock.ts', 'fuzz/watchdog.ts', 'async/clock.test.ts'],
    example: "import { setTimeout as wait } from 'node:timers/promises';",
  },
];

const FILES = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && name !== 'scripts/test-rules.test.ts')
  .sort();

describe('in every test', () => {
  for (const { name, breach, except, example } of RULES)
    it(name, () => {
      assert.match(example, breach);
      assert.deepEqual(breaches(breach, except), []);
      for (const file of except)
        assert.match(source(file), breach, `${file} needs no exception any more: take it off the list`);
    });
});

function breaches(breach: RegExp, except: readonly string[]): readonly string[] {
  return FILES.filter((file) => !except.includes(file)).flatMap((file) =>
    source(file)
      .split('\n')
      .flatMap((line, index) => (breach.test(line) ? [`test/${file}:${index + 1}: ${line.trim()}`] : [])),
  );
}

function source(file: string): string {
  return readFileSync(`test/${file}`, 'utf8');
}
