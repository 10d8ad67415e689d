import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { renderList, renderOne } from '../../src/cli/output/output.js';

const rows = [
  { ID: 'a1', Name: 'debian', Size: 10 },
  { ID: 'b2', Name: 'x', Size: null },
];
const columns = ['ID', 'Name', 'Size'];

describe('renderList', () => {
  it('draws a table as openstackclient does', () => {
    assert.equal(
      renderList(rows, columns, { format: 'table', columns: [] }),
      [
        '+----+--------+------+',
        '| ID | Name   | Size |',
        '+----+--------+------+',
        '| a1 | debian | 10   |',
        '| b2 | x      |      |',
        '+----+--------+------+',
        '',
      ].join('\n'),
    );
  });

  it('shows the chosen columns in the chosen order, whatever their case', () => {
    assert.equal(
      renderList(rows, columns, { format: 'value', columns: ['name', 'ID'] }),
      'debian a1\nx b2\n',
    );
  });

  it('names the columns there are when one is unknown', () => {
    assert.throws(() => renderList(rows, columns, { format: 'json', columns: ['nope'] }), {
      code: 'usage',
      message: /no column 'nope'; there are ID, Name, Size/,
    });
  });

  it('gives JSON that parses back to the rows', () => {
    assert.deepEqual(JSON.parse(renderList(rows, columns, { format: 'json', columns: [] })), rows);
  });

  it('keeps a name with newlines and terminal escapes on its line', () => {
    const evil = [{ Name: 'a\nb\u001b[31m' }];
    assert.equal(renderList(evil, ['Name'], { format: 'value', columns: [] }), 'a%0Ab%1B[31m\n');
  });

  it('has a head also when there is nothing to show', () => {
    assert.match(renderList([], columns, { format: 'table', columns: [] }), /\| ID \| Name \| Size \|/);
    assert.equal(renderList([], columns, { format: 'json', columns: [] }), '[]\n');
  });
});

describe('what others wrote', () => {
  const evil = 'a\u007fb\u009bc\u202ed\u2066e\u2028f\u200bg\ufeffh\u{e0041}i';

  it('reaches a table and a value as text that can be seen', () => {
    for (const format of ['value', 'table'] as const) {
      const text = renderList([{ Name: evil }], ['Name'], { format, columns: [] });
      assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      assert.match(text, /a%7Fb%C2%9Bc%E2%80%AEd%E2%81%A6e%E2%80%A8f%E2%80%8Bg%EF%BB%BFh%F3%A0%81%81i/);
    }
  });

  it('is the same text in JSON, and yet printable', () => {
    const text = renderOne({ name: evil }, { format: 'json', columns: [] });
    assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    assert.deepEqual(JSON.parse(text), { name: evil });
  });
});

describe('a table on a terminal', () => {
  const id = '00000000-0000-4000-8000-000000000001';
  const long = [
    { ID: id, Name: 'n'.repeat(255) },
    { ID: id, Name: 'short' },
  ];
  const widest = (text: string): number => Math.max(...text.split('\n').map((line) => line.length));

  it('is as wide as the terminal, whatever one image is called, and has its ids whole', () => {
    const text = renderList(long, ['ID', 'Name'], { format: 'table', columns: [], width: 100 });
    assert.equal(widest(text), 100);
    assert.match(text, /\| n+… \|/);
    assert.equal(text.split(id).length, 3);
  });

  it('is whole in a pipe, and as narrow as it can be on a narrow terminal', () => {
    assert.equal(widest(renderList(long, ['ID', 'Name'], { format: 'table', columns: [] })), 298);
    const narrow = renderList(long, ['ID', 'Name'], { format: 'table', columns: [], width: 20 });
    assert.equal(widest(narrow), 2 * 36 + 7);
  });
});

describe('renderOne', () => {
  it('draws Field and Value', () => {
    assert.match(
      renderOne({ state: 'serving' }, { format: 'table', columns: [] }),
      /\| Field \| Value {3}\|/,
    );
  });

  it('gives one value a line', () => {
    assert.equal(renderOne({ a: 1, b: 'two' }, { format: 'value', columns: ['b'] }), 'two\n');
  });
});
