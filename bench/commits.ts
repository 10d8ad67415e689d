/**
 * Two commits side by side in one run: `npm run bench:commits -- BEFORE AFTER [--repetitions N] [bench options]`.
 * Each commit is built in a worktree of its own and measured by its own bench, one repetition in turn, so that what
 * disturbs the machine disturbs both. Prints the median of each figure and the ratio AFTER / BEFORE.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { run } from './command.js';
import { formatValue } from './format.js';
import type { Report } from './report.js';
import type { Row } from './samples.js';
import { median } from './statistics.js';

const USAGE =
  'usage: npm run bench:commits -- BEFORE AFTER [--repetitions N] [--backings ...] [--servers ...] ...';
const DEFAULTS = {
  repetitions: '3',
  backings: 'file,device',
  servers: 'engine,engine-nbd',
  metrics: 'seq-cold,seq-warm,rand4k-1,rand4k-8,first-byte,rss-idle',
};

/** What one commit's bench measured: values of one figure, by `backing server metric`. */
type Figures = Map<string, { readonly row: Row; readonly values: number[] }>;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    repetitions: { type: 'string', default: DEFAULTS.repetitions },
    backings: { type: 'string', default: DEFAULTS.backings },
    servers: { type: 'string', default: DEFAULTS.servers },
    metrics: { type: 'string', default: DEFAULTS.metrics },
  },
});
const [before, after, ...more] = positionals;
if (before === undefined || after === undefined || more.length > 0) {
  process.stderr.write(`${USAGE}\n`);
  process.exitCode = 2;
} else {
  await compare(before, after);
}

async function compare(before: string, after: string): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'cinderfs-bench-commits-'));
  const trees = [join(directory, 'before'), join(directory, 'after')] as const;
  try {
    await build(before, trees[0]);
    await build(after, trees[1]);
    const figures: readonly [Figures, Figures] = [new Map(), new Map()];
    for (let round = 1; round <= Number(options.repetitions); round += 1) {
      process.stderr.write(`round ${round} of ${options.repetitions}\n`);
      // Each goes first in turn: the second finds a warmer machine.
      const order = round % 2 === 1 ? ([0, 1] as const) : ([1, 0] as const);
      for (const which of order) await measure(trees[which], join(directory, 'out.json'), figures[which]);
    }
    process.stdout.write(table(figures));
  } finally {
    for (const tree of trees)
      await run('git', ['worktree', 'remove', '--force', tree]).catch(() => undefined);
    await rm(directory, { recursive: true, force: true });
  }
}

async function build(commit: string, tree: string): Promise<void> {
  process.stderr.write(`building ${commit}\n`);
  await run('git', ['worktree', 'add', '--detach', tree, commit]);
  await run('bash', [join(tree, 'scripts/setup'), 'build']);
}

async function measure(tree: string, out: string, figures: Figures): Promise<void> {
  const { backings, servers, metrics } = options;
  await run(process.execPath, [
    ...['--enable-source-maps', join(tree, 'dist/bench/main.js'), '--repetitions=1', `--out=${out}`],
    ...[`--backings=${backings}`, `--servers=${servers}`, `--metrics=${metrics}`],
  ]);
  const report = JSON.parse(await readFile(out, 'utf8')) as Report;
  for (const row of report.rows) {
    const key = `${row.backing} ${row.server} ${row.metric}`;
    const figure = figures.get(key) ?? { row, values: [] };
    figure.values.push(row.median);
    figures.set(key, figure);
  }
}

function table([before, after]: readonly [Figures, Figures]): string {
  const head = '| figure | before | after | after / before |\n| --- | --- | --- | --- |\n';
  const lines = [...before].map(([key, { row, values }]) => {
    const was = median(values);
    const later = after.get(key)?.values;
    if (later === undefined) return `| ${key} | ${formatValue(was, row.unit)} | - | - |`;
    const is = median(later);
    const cells = [formatValue(was, row.unit), formatValue(is, row.unit), (is / was).toFixed(3)];
    return `| ${[key, ...cells].join(' | ')} |`;
  });
  return `${head}${lines.join('\n')}\n`;
}
