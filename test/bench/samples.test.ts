import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Samples } from '../../bench/samples.js';

const SPEED = { name: 'seq-cold', unit: 'bytes/s' } as const;
const MEMORY = { name: 'rss', unit: 'bytes' } as const;

describe('samples', () => {
  it('become one row for each thing measured, its ratio to direct of the same backing', () => {
    const samples = new Samples();
    for (const value of [100, 300, 200]) samples.add('file', 'direct', SPEED, value);
    for (const value of [50, 10, 60]) samples.add('file', 'engine', SPEED, value);
    samples.add('device', 'direct', SPEED, 1000);
    assert.deepEqual(samples.rows(), [
      row('file', 'direct', { median: 200, min: 100, max: 300, ratio: 1 }),
      row('file', 'engine', { median: 50, min: 10, max: 60, ratio: 0.25 }),
      row('device', 'direct', { median: 1000, min: 1000, max: 1000, ratio: 1 }),
    ]);
  });

  it('have no ratio where direct has no figure, or none to divide by', () => {
    const samples = new Samples();
    samples.add('file', 'engine', MEMORY, 7);
    samples.add('file', 'direct', SPEED, 0);
    samples.add('file', 'engine', SPEED, 7);
    assert.deepEqual(
      samples.rows().map(({ ratio }) => ratio),
      [null, null, null],
    );
  });
});

function row(backing: string, server: string, figures: object): object {
  return { backing, server, metric: 'seq-cold', unit: 'bytes/s', ...figures };
}
