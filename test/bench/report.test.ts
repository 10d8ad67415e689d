import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { METRICS } from '../../bench/catalogue.js';
import { replaceTables, toMarkdown } from '../../bench/document.js';
import { formatValue } from '../../bench/format.js';
import { parseOptions } from '../../bench/options.js';
import { toJson, type Report } from '../../bench/report.js';
import type { Row } from '../../bench/samples.js';
import { rbdFuse } from '../../bench/servers/rbd-fuse.js';
import { judge } from '../../bench/targets.js';

const report: Report = {
  machine: {
    cpu: 'Abacus',
    cores: 2,
    memoryBytes: 24 * 2 ** 30,
    loadBefore: 0.25,
    architecture: 'x64',
    system: 'Debian',
    kernel: '6.18',
    node: 'v20.19.0',
    packages: { fio: '3.33' },
  },
  date: '2026-11-22T12:00:00.000Z',
  rows: [
    row('device', 'direct', 'seq-cold', 5e9, 1),
    row('device', 'engine', 'seq-cold', 3e9, 0.6),
    row('device', 'nbdfuse', 'seq-cold', 5e8, 0.1),
    row('device', 'qsd-fuse', 'seq-cold', 1e9, 0.2),
  ],
};

describe('the JSON report', () => {
  it('has exactly the shape that was promised', () => {
    const parsed = JSON.parse(toJson(report)) as Record<string, unknown> & { rows: object[] };
    assert.deepEqual(Object.keys(parsed), ['machine', 'date', 'rows']);
    assert.deepEqual(Object.keys(parsed.rows[0] ?? {}).sort(), [
      'backing',
      'max',
      'median',
      'metric',
      'min',
      'ratio',
      'server',
      'unit',
    ]);
  });
});

describe('the Markdown report', () => {
  const failure = { backing: 'rbd', server: rbdFuse, metric: 'rand4k-8', reason: 'ENOENT\nand more' };
  const text = toMarkdown(report, [failure], METRICS, parseOptions([], {}).scale);

  it('has a line for each server, figure and ratio in each cell', () => {
    assert.match(text, /^\| server \| seq-cold \|$/m);
    assert.match(text, /^\| direct \| 5 GB\/s \|$/m);
    assert.match(text, /^\| engine \| 3 GB\/s \(0\.60\) \|$/m);
  });

  it('names what failed', () => {
    assert.match(text, /^Failed: rbd, rbd-fuse, rand4k-8: `ENOENT`$/m);
  });

  it('says what it was measured on', () => {
    assert.match(text, /2026-11-22: 2 x Abacus, 24 GiB, Debian/);
    assert.match(text, /Load average before the run: 0\.3\. Images of 1024 MiB/);
    assert.match(text, /5 interleaved repetitions/);
  });

  it('replaces what an earlier run wrote, and nothing above it', () => {
    const marker = '<!-- bench: everything from here on is written by `npm run bench` -->';
    const once = replaceTables(`# Title\n\n${marker}\n`, 'first');
    assert.equal(replaceTables(once, 'second'), `# Title\n\n${marker}\n\nsecond\n`);
  });

  it('refuses a document without the marker', () => {
    assert.throws(() => replaceTables('# Notes\n', 'tables'), /has no line/);
  });
});

describe('targets', () => {
  const verdicts = new Map(judge(report.rows).map((one) => [one.target.claim, one]));

  it('compare with the best of the peers in C, not the first', () => {
    const judged = verdicts.get('device: seq-cold, engine / best C peer');
    assert.deepEqual([judged?.value, judged?.verdict], [3, 'holds']);
  });

  it('fail below the bound', () => {
    const slow = report.rows.map((one) => (one.server === 'engine' ? { ...one, median: 1e9 } : one));
    const judged = judge(slow).find(({ target }) =>
      target.claim.startsWith('device: seq-cold, engine / best'),
    );
    assert.deepEqual([judged?.value, judged?.verdict], [1, 'fails']);
  });

  it('of which less is better fail above it', () => {
    const rows = [
      row('file', 'engine', 'fanin-32', 1.01, null),
      row('device', 'engine', 'fanin-32', 1.2, null),
    ];
    const judged = judge(rows).find(({ target }) => target.claim.startsWith('fanin-32'));
    assert.deepEqual([judged?.value, judged?.verdict], [1.2, 'fails']);
  });

  it('are not judged on what was not measured', () => {
    assert.equal(verdicts.get('rbd: seq-cold, engine / rbd-fuse')?.verdict, 'not measured');
  });
});

describe('figures for people', () => {
  it('have three digits and the unit that fits', () => {
    assert.equal(formatValue(2_944_000_000, 'bytes/s'), '2.94 GB/s');
    assert.equal(formatValue(345_600_000, 'bytes/s'), '346 MB/s');
    assert.equal(formatValue(1_613_000, 'operations/s'), '1610k/s');
    assert.equal(formatValue(902, 'operations/s'), '902/s');
    assert.equal(formatValue(1.0216, 'times'), '1.02x');
    assert.equal(formatValue(0.0000641, 'seconds'), '64.1 us');
    assert.equal(formatValue(2.5, 'seconds'), '2.5 s');
    assert.equal(formatValue(0.336, 'seconds/GiB'), '336 ms/GiB');
    assert.equal(formatValue(97.28 * 2 ** 20, 'bytes'), '97.3 MiB');
  });
});

function row(backing: string, server: string, metric: string, median: number, ratio: number | null): Row {
  return { backing, server, metric, median, min: median, max: median, unit: 'bytes/s', ratio };
}
