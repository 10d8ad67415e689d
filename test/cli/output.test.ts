import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { renderList, renderOne } from '../../src/cli/output.js';

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
