import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { nearest } from '../../src/config/nearest.js';
import type { OptionSpec, OptionType } from '../../src/config/option-spec.js';
import { Secret } from '../../src/secret.js';
import { Disallowed, readValue } from '../../src/config/value.js';
import { assertProperty } from '../support/seeds.js';

const spec = (type: OptionType, more: Partial<OptionSpec> = {}): OptionSpec => ({
  type,
  group: 'general',
  doc: 'x',
  ...more,
});

describe('a value', () => {
  it('reads times in any unit as seconds', () => {
    const times = {
      '90': 90,
      '90s': 90,
      '5m': 300,
      '2h': 7200,
      '1d': 86400,
      '500ms': 0.5,
      '1.5 m': 90,
      '0': 0,
    };
    for (const [text, seconds] of Object.entries(times))
      assert.equal(readValue(spec('seconds'), text), seconds);
  });

  it('reads sizes as qemu-img and disk vendors write them', () => {
    const sizes = {
      '0': 0,
      '1048576': 2 ** 20,
      '512MiB': 512 * 2 ** 20,
      '1k': 1024,
      '1KiB': 1024,
      '1kB': 1000,
      '2G': 2 ** 31,
      '1.5GiB': 1.5 * 2 ** 30,
      '1 TB': 1e12,
      '7B': 7,
    };
    for (const [text, bytes] of Object.entries(sizes))
      assert.equal(readValue(spec('bytes'), text), bytes, text);
    assert.throws(() => readValue(spec('bytes'), '0.3B'), Disallowed, 'no fractions of a byte');
  });

  it('reads lists, modes and accounts', () => {
    assert.deepEqual(readValue(spec('list'), 'a, b,\nc,,'), ['a', 'b', 'c']);
    assert.equal(readValue(spec('mode'), '0440'), 0o440);
    assert.equal(readValue(spec('mode'), '640'), 0o640);
    assert.equal(readValue(spec('user'), 'root'), 0);
    assert.equal(readValue(spec('group'), '107'), 107);
    assert.throws(() => readValue(spec('user'), '4294967295'), Disallowed, 'that id means "no change"');
  });

  it('is read or refused, never NaN and never a crash, whatever the text', () => {
    const types: OptionType[] = [
      'boolean',
      'bytes',
      'integer',
      'mode',
      'path',
      'seconds',
      'user',
      'microversion',
    ];
    assertProperty(
      fc.property(fc.constantFrom(...types), fc.oneof(fc.string(), fc.double().map(String)), (type, text) => {
        try {
          const value = readValue(spec(type, { max: 1e6 }), text, '/dir');
          assert.ok(value !== undefined && !Number.isNaN(value));
          if (typeof value === 'number' && type !== 'user') assert.ok(value >= 0 && value <= 1e6);
        } catch (error) {
          assert.ok(error instanceof Disallowed, String(error));
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('a secret', () => {
  it('shows itself to reveal() only', () => {
    const secret = new Secret('hunter2');
    const shown = [
      String(secret),
      JSON.stringify({ secret }),
      inspect({ deep: [secret] }, { showHidden: true, depth: 9 }),
      [secret].join(),
      Object.values(secret).join(),
    ];
    for (const text of shown) assert.ok(!text.includes('hunter2'), text);
    assert.equal(secret.reveal(), 'hunter2');
  });
});

describe('the nearest name', () => {
  it('is one that a slip of the hand would miss, or none', () => {
    const names = ['linger', 'log_level', 'image_list_ttl'];
    assert.equal(nearest('linegr', names), 'linger');
    assert.equal(nearest('image_ttl', names), undefined);
    assert.equal(nearest('imagelist_ttl', names), 'image_list_ttl');
    assert.equal(nearest('zzzzzz', names), undefined);
  });
});
