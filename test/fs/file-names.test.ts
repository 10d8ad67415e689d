import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { assignFileNames, encodeName, NAME_MAX } from '../../src/fs/tree/file-names.js';
import type { Named } from '../../src/fs/tree/file-names.js';
import { assertProperty } from '../support/seeds.js';

const A = '0a1b2c3d-0000-4000-8000-000000000001';
const B = '0a1b2c3d-0000-4000-8000-000000000002';
const C = 'ffffffff-0000-4000-8000-000000000003';

/** Few letters, so that names meet, and the ones that hurt. */
const unit = fc.constantFrom('a', '~', '/', '.', '%', '\n', '\0', 'é', '😀', '\ud800', '\udc00', '0a1b2c3d');
const nasty = fc.array(unit, { maxLength: 6 }).map((units) => units.join(''));
const long = fc.tuple(unit, fc.integer({ min: 200, max: 400 })).map(([text, times]) => text.repeat(times));
const anyName = fc.oneof(nasty, long, fc.string({ unit: 'binary' }));
const anyId = fc.oneof(
  fc.uuid(),
  fc.nat({ max: 9 }).map((n) => `0a1b2c3d-0000-4000-8000-00000000000${n}`),
  fc.constantFrom('a~b', 'b', '..', ''),
);
const images = fc.uniqueArray(
  fc.record({ id: anyId, name: anyName, createdAt: fc.nat(2).map((day) => new Date(day * 86_400_000)) }),
  { selector: ({ id }) => id },
);

describe('file names', () => {
  it('are legal, distinct and complete, whatever the images are called', () => {
    assertProperty(
      fc.property(images, (list) => {
        const names = assignFileNames(list);
        assert.equal(names.size, list.length);
        assert.equal(new Set(names.values()).size, list.length);
        for (const name of names.values()) assertLegal(name);
      }),
      { numRuns: 500 },
    );
  });

  it('depend on the set of images, not on their order', () => {
    assertProperty(
      fc.property(images, (list) => {
        const names = assignFileNames(list);
        const other = assignFileNames([...list].reverse());
        for (const [id, name] of names) assert.equal(other.get(id), name);
      }),
    );
  });

  it('encode injectively', () => {
    assertProperty(
      fc.property(anyName, anyName, (a, b) => {
        assert.equal(encodeName(a) === encodeName(b), a === b);
      }),
    );
  });

  for (const [name, expected] of [
    ['debian-12', 'debian-12'],
    ['Ubuntu 24.04 LTS (минимальный)', 'Ubuntu 24.04 LTS (минимальный)'],
    ['a/b', 'a%2Fb'],
    ['100%', '100%25'],
    ['two\nlines', 'two%0Alines'],
    ['.', '%2E'],
    ['..', '%2E.'],
    ['.hidden', '%2Ehidden'],
    ['half \ud83d pair', 'half %ED%A0%BD pair'],
    ['\u0085', '%C2%85'],
  ] as const) {
    it(`shows ${JSON.stringify(name)} as ${expected}`, () => {
      assert.deepEqual(namesOf({ id: A, name }), [expected]);
    });
  }

  for (const [name, expected] of [
    ['right\u202eto left', 'right%E2%80%AEto left'],
    ['two\u2028lines', 'two%E2%80%A8lines'],
    ['zero\u200bwidth', 'zero%E2%80%8Bwidth'],
    ['\ufeffbom', '%EF%BB%BFbom'],
    ['del\u007f', 'del%7F'],
    ['soft\u00adhyphen', 'soft%C2%ADhyphen'],
    ['filler\u3164', 'filler%E3%85%A4'],
  ] as const) {
    it(`hides nothing in a name: ${expected}`, () => {
      assert.deepEqual(namesOf({ id: A, name }), [expected]);
    });
  }

  it('leaves a name with the oldest image that has it; others get the short suffix', () => {
    const [older, newer] = [new Date(1000), new Date(2000)];
    const names = assignFileNames([
      { id: A, name: 'x', createdAt: newer },
      { id: C, name: 'x', createdAt: older },
    ]);
    assert.equal(names.get(C), 'x');
    assert.equal(names.get(A), 'x~0a1b2c3d');
  });

  it('takes no name away when another image comes, whatever that is called', () => {
    assertProperty(
      fc.property(images, anyId, anyName, (list, id, name) => {
        fc.pre(list.every((image) => image.id !== id));
        const before = assignFileNames(list);
        const after = assignFileNames([...list, { id, name, createdAt: new Date(3 * 86_400_000) }]);
        for (const image of list) {
          const had = before.get(image.id) ?? '';
          // Only where the newcomer could not be told apart otherwise: by its whole id.
          if (after.get(id) !== had) assert.equal(after.get(image.id), had);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('gives the whole id where the short suffix is shared too', () => {
    const names = namesOf(
      { id: A, name: 'x' },
      { id: B, name: 'x' },
      { id: A.replace(/1$/, '3'), name: 'x' },
    );
    assert.deepEqual(names, ['x', 'x~0a1b2c3d', `x~${A.replace(/1$/, '3')}`]);
  });

  it('keeps apart an image that is literally called like the suffixed name of another', () => {
    const names = namesOf({ id: A, name: 'x' }, { id: C, name: 'x' }, { id: B, name: 'x~ffffffff' });
    assert.deepEqual(names, ['x', `x~${C}`, 'x~ffffffff'], 'the older of the two keeps it');
  });

  it('gives a nameless image its id', () => {
    assert.deepEqual(namesOf({ id: A, name: '' }), ['~0a1b2c3d']);
  });

  it('cuts a long name at a code point, whole escapes only', () => {
    assert.deepEqual(namesOf({ id: A, name: 'é'.repeat(300) }), [`${'é'.repeat(123)}~0a1b2c3d`]);
    assert.deepEqual(namesOf({ id: A, name: '/'.repeat(300) }), [`${'%2F'.repeat(82)}~0a1b2c3d`]);
  });
});

function namesOf(...list: Named[]): string[] {
  const names = assignFileNames(list);
  return list.map(({ id }) => names.get(id) ?? '');
}

function assertLegal(name: string): void {
  const bytes = Buffer.from(name);
  assert.ok(bytes.length > 0 && bytes.length <= NAME_MAX, `${bytes.length} bytes`);
  assert.equal(bytes.toString(), name, 'valid UTF-8');
  assert.ok(name !== '.' && name !== '..');
  // eslint-disable-next-line no-control-regex -- control characters are what must not be there
  assert.doesNotMatch(name, /[/\u0000-\u001f\u007f-\u009f]/);
}
