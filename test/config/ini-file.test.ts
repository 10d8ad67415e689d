import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { settingsIn } from '../../src/config/ini-file.js';
import { CinderfsError } from '../../src/errors.js';
import { assertProperty } from '../support/seeds.js';

describe('cinderfs.conf', () => {
  const settingsOf = (text: string): [string, string][] =>
    settingsIn(text, 'f').map(({ name, value }) => [name, value]);

  it('is what oslo.config reads, and more: a byte order mark, no section, dashes in names', () => {
    const text = [
      '\uFEFF; comment',
      'before-any = section',
      '[DEFAULT]',
      '# linger = 7',
      'a = 1 # not a comment; nor this',
      'b=two',
      '  three',
      '\tfour',
      '# in between',
      'c = "quoted # é"',
      "d = ' spaces '",
      'e =',
      'f = x=y\r',
    ].join('\n');
    assert.deepEqual(settingsOf(text), [
      ['before_any', 'section'],
      ['a', '1 # not a comment; nor this'],
      ['b', 'two\nthree\nfour'],
      ['c', 'quoted # é'],
      ['d', ' spaces '],
      ['e', ''],
      ['f', 'x=y'],
    ]);
  });

  it('gives back what was written, and the line it was on', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,10}$/);
    const value = fc.string({ unit: 'grapheme' }).filter((text) => {
      const plain = !/[\r\n\u0085\u2028\u2029]/.test(text) && text.trim() === text && !/^["']/.test(text);
      return plain && !text.includes('\0');
    });
    assertProperty(
      fc.property(fc.array(fc.tuple(name, value)), (settings) => {
        const text = settings.map(([key, content]) => `# ${key}\n${key} = ${content}`).join('\n');
        const parsed = settingsIn(text, 'f');
        assert.deepEqual(
          parsed.map((setting) => [setting.name, setting.value]),
          settings,
        );
        for (const [index, { line }] of parsed.entries()) assert.equal(line, 2 * index + 2);
      }),
      { numRuns: 300 },
    );
  });

  it('is settings or a config_invalid with a place, whatever the text', () => {
    assertProperty(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        try {
          settingsIn(text, 'f');
        } catch (error) {
          assert.ok(
            CinderfsError.is(error) && error.code === 'config_invalid' && /^f:\d+: /.test(error.message),
          );
        }
      }),
      { numRuns: 500 },
    );
  });

  it('names the line that it cannot read', () => {
    for (const [text, message] of [
      ['a = 1\n\n  2\n', /^f:3: the line is indented/],
      ['[nova]\n', /^f:1: section \[nova\] is unknown/],
      ['[DEFAULT\n', /^f:1: '\[DEFAULT' is not \[SECTION\]/],
      ['\nlinger\n', /^f:2: 'linger' is not NAME = VALUE/],
    ] as const)
      assert.throws(() => settingsIn(text, 'f'), { code: 'config_invalid', message });
  });
});
