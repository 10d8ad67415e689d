import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseOsloIni } from '../../src/config/oslo-ini.js';
import type { Random } from '../support/random.js';
import { randomFor, runsFor } from '../support/seeds.js';

const ORACLE = fileURLToPath(new URL('../../../test/config/oslo-ini.py', import.meta.url));
/** Debian's interpreter: the one that has Debian's packages. */
const PYTHON = '/usr/bin/python3';

/** What oslo.config answers: the values of each section, or the line that it refuses. */
type Answer =
  | { readonly sections: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> }
  | { readonly line: number };

/** Recorded from python3-oslo.config 9.0.0 of Debian 12. */
const RECORDED: readonly (readonly [text: string, answer: Answer])[] = [
  ['[DEFAULT]\na = 1 # kept; too\n', { sections: { DEFAULT: { a: ['1 # kept; too'] } } }],
  ['[A]\nb=two\n  three\n\tfour\n', { sections: { a: { b: ['two\nthree\nfour'] } } }],
  ['[A]\nb = 1\n[a]\nb = 2\nB: 3\n', { sections: { a: { b: ['1', '2'], B: ['3'] } } }],
  ['[a]\nb = "x"\nc = \'y\nd = "\n', { sections: { a: { b: ['x'], c: ["'y"], d: [''] } } }],
  ['[a]\nb = "x"\n "y"\n', { sections: { a: { b: ['x\n"y"'] } } }],
  ['[a]\nb =\n  1\n  # 2\n', { sections: { a: { b: ['\n1\n# 2'] } } }],
  ['[a]\nu = http://h:1/\nv:w=x\n', { sections: { a: { u: ['http://h:1/'], v: ['w=x'] } } }],
  ['[ a ]\nb=1\r\n', { sections: { ' a ': { b: ['1'] } } }],
  ['[a]\nb = 1\n\n  2\n', { line: 4 }],
  ['[a]\nb = 1\n# c\n  2\n', { line: 4 }],
  ['[a]\n  b = 1\n', { line: 2 }],
  ['[a\n', { line: 1 }],
  ['[]\n', { line: 1 }],
  ['[a]\nb\n', { line: 2 }],
  ['[a]\n= b\n', { line: 2 }],
];
const PIECES = [
  ...[
    '[a]',
    '[A]',
    '[DEFAULT]',
    '[b c]',
    '[]',
    '[x',
    'x = 1',
    'x: 2',
    'y=',
    'y = "q"',
    "z = 'q",
    'z = " s "',
  ],
  ...[
    ' more',
    '\tmore = 1',
    '  # more',
    '# note',
    '; note',
    '',
    '  ',
    'word',
    '= v',
    ' ',
    '=',
    ':',
    '"',
    "'",
  ],
  ...['k=v:w', 'k:v=w', 'ä = ü', '\u00a0n = b', 'n = b\u00a0', '[c] ', '$x', 'x-y_z.0 = ${x}'],
];

describe('a configuration file of oslo.config', () => {
  for (const [text, answer] of RECORDED)
    it(`is read as it was recorded: ${JSON.stringify(text)}`, () => assert.deepEqual(ours(text), answer));

  it('is read as oslo.config itself reads it', (test) => {
    if (spawnSync(PYTHON, ['-c', 'import oslo_config']).status !== 0) {
      test.skip('python3-oslo.config is not installed');
      return;
    }
    const random = randomFor(test);
    const texts = [
      ...RECORDED.map(([text]) => text),
      ...Array.from({ length: runsFor(2_000) }, () => textFrom(random)),
    ];
    const theirs = JSON.parse(
      execFileSync(PYTHON, [ORACLE], { input: JSON.stringify(texts), maxBuffer: 1 << 26 }).toString(),
    ) as readonly Answer[];
    for (const [index, text] of texts.entries())
      assert.deepEqual(ours(text), theirs[index], JSON.stringify(text));
  });
});

/** Our answer in the form of theirs. */
function ours(text: string): Answer {
  const sections: Record<string, Record<string, string[]>> = {};
  for (const item of parseOsloIni(text)) {
    if (item.kind === 'fault') return { line: item.line };
    const { section } = item;
    if (section === undefined) throw new Error('a setting without a section');
    const values = (sections[section] ??= {});
    if (item.kind === 'setting') (values[item.name] ??= []).push(item.value);
  }
  return { sections };
}

/** It begins with a section: settings without one are ours alone. */
function textFrom(random: Random): string {
  const lines = Array.from(
    { length: random.whole(0, 7) },
    () => random.pick(PIECES) + (random.chance(0.25) ? random.pick(PIECES) : ''),
  );
  return ['[DEFAULT]', ...lines].join(random.pick(['\n', '\r\n', '\r']));
}
