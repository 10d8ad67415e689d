import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { KnownSecrets, knownSecrets } from '../../src/known-secrets.js';
import { Secret } from '../../src/secret.js';
import { assertProperty } from '../support/seeds.js';

describe('a secret', () => {
  it('shows itself only to who asks, and is known from then on', () => {
    const secret = new Secret('hunter-2-and-more');
    const shown = [
      String(secret),
      JSON.stringify({ secret }),
      inspect({ deep: [{ secret }] }, { showHidden: true, depth: 9 }),
    ];
    for (const text of shown) assert.ok(!text.includes('hunter-2'), text);
    assert.equal(secret.reveal(), 'hunter-2-and-more');
    assert.equal(knownSecrets.hide('-v hunter-2-and-more on 10.1.2.3'), '-v <redacted> on 10.1.2.3');
  });
});

describe('the secrets of a process', () => {
  const knowing = (...values: string[]): { secrets: KnownSecrets; holders: object[] } => {
    const secrets = new KnownSecrets();
    const holders = values.map((value) => {
      const holder = { value };
      secrets.keep(holder, value);
      return holder;
    });
    return { secrets, holders };
  };

  it('leave every text that quotes them, whatever they are made of and however it is quoted', () => {
    // The form that the security review saw pass the patterns: a space, escapes, no key word before it.
    const { secrets } = knowing('hunter two', 'a"b\\c', 'x/y z+ü', '$&(.*)');
    const said = [
      `{"auth_password": "hunter two"}`,
      `Value: hunter two`,
      `iscsiadm -v hunter two`,
      JSON.stringify({ body: 'a"b\\c' }),
      `https://k/?p=${encodeURIComponent('x/y z+ü')}`,
      `Basic ${Buffer.from('hunter two').toString('base64')}`,
      'raw $&(.*) here',
    ];
    for (const text of said) {
      const hidden = secrets.hide(text);
      assert.match(hidden, /<redacted>/, text);
      assert.doesNotMatch(hidden, /hunter two|a\\"b|x%2Fy|aHVudGVyIHR3|\(\.\*\)/);
    }
  });

  it('leave values at any depth: arrays, maps, errors with their causes, keys', () => {
    const { secrets } = knowing('hunter-2-and-more');
    const cause = Object.assign(new Error('said hunter-2-and-more'), { body: { 'hunter-2-and-more': 1 } });
    const value = { a: { b: { c: { d: [new Map([['e', new Error('x', { cause })]])] } } }, kept: 'hunter' };
    const hidden = inspect(secrets.hideIn(value), { depth: 20 });
    assert.ok(!hidden.includes('hunter-2-and-more'), hidden);
    assert.match(hidden, /kept: 'hunter'/);
  });

  it('leave a value that contains itself in finite time', () => {
    const { secrets } = knowing('hunter-2-and-more');
    const loop: Record<string, unknown> = { text: 'hunter-2-and-more' };
    loop.self = loop;
    assert.ok(!JSON.stringify(secrets.hideIn(loop)).includes('hunter'));
  });

  it('are not looked for inside of words when short, and not at all when they are no secret', () => {
    const { secrets } = knowing('pass', 'cinderfs', 'service', 'abc');
    secrets.isPublic('service');
    assert.equal(
      secrets.hide('cinderfs: password in project service is pass; abc'),
      'cinderfs: password in project service is <redacted>; abc',
    );
  });

  it('never show a part of a longer one', () => {
    assertProperty(
      fc.property(
        fc.array(fc.string({ minLength: 8, maxLength: 20 }), { minLength: 1, maxLength: 5 }),
        fc.string(),
        (values, around) => {
          const { secrets } = knowing(...values, `${values[0] ?? ''}-and-longer`);
          const text = `${around}${values[0] ?? ''}-and-longer${around}`;
          const hidden = secrets.hide(text);
          assert.ok(!hidden.includes(values[0] ?? '') || (around + around).includes(values[0] ?? ''), hidden);
        },
      ),
    );
  });
});
