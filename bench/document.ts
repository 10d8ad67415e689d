import { formatValue } from './format.js';
import type { Metric } from './metrics/metric.js';
import type { Scale } from './options.js';
import type { Report } from './report.js';
import type { Row } from './samples.js';
import type { Failure } from './runner.js';
import { judge } from './targets.js';

const BEGIN = '<!-- bench: everything from here on is written by `npm run bench` -->';

/** The tables of one run in Markdown: a table for each backing, then the targets. */
export function toMarkdown(
  report: Report,
  failures: readonly Failure[],
  metrics: readonly Metric[],
  scale: Scale,
): string {
  const backings = [...new Set(report.rows.map((row) => row.backing))];
  return [
    runLine(report, scale),
    ...backings.flatMap((backing) => [`### ${backing}`, backingTable(report.rows, backing, metrics)]),
    ...failures.map(failureLine),
    '### Targets',
    targetTable(report.rows),
    '### Metrics',
    metricTable(metrics),
  ].join('\n\n');
}

/** `text` with everything below the marker replaced. Throws when there is no marker: then it is not our document. */
export function replaceTables(text: string, tables: string): string {
  const at = text.indexOf(BEGIN);
  if (at === -1) throw new Error(`the document has no line "${BEGIN}"`);
  return `${text.slice(0, at + BEGIN.length)}\n\n${tables}\n`;
}

function runLine({ machine, date }: Report, { repetitions, denseBytes }: Scale): string {
  const memory = Math.round(machine.memoryBytes / 2 ** 30);
  const packages = Object.entries(machine.packages).map(([name, version]) => `${name} ${version}`);
  return [
    `${date.slice(0, 10)}: ${machine.cores} x ${machine.cpu}, ${memory} GiB, ${machine.system},`,
    `Linux ${machine.kernel} (${machine.architecture}), Node.js ${machine.node}. Peers: ${packages.join(', ')}.`,
    `Load average before the run: ${machine.loadBefore.toFixed(1)}. Images of ${denseBytes / 2 ** 20} MiB (rbd: as the lab has it).`,
    `Medians of ${repetitions} interleaved repetitions; in parentheses the ratio to \`direct\`.`,
  ].join('\n');
}

function failureLine({ backing, server, metric, reason }: Failure): string {
  const firstLine = reason.split('\n')[0] ?? '';
  return `Failed: ${backing}, ${server.name}, ${metric ?? 'start'}: \`${firstLine.slice(-300)}\``;
}

function backingTable(rows: readonly Row[], backing: string, metrics: readonly Metric[]): string {
  const ours = rows.filter((row) => row.backing === backing);
  const measured = metrics.filter((metric) => ours.some((row) => row.metric === metric.name));
  const servers = [...new Set(ours.map((row) => row.server))];
  const lines = servers.map((server) => [
    server,
    ...measured.map((metric) =>
      cell(ours.find((row) => row.server === server && row.metric === metric.name)),
    ),
  ]);
  return table(['server', ...measured.map((metric) => metric.name)], lines);
}

function cell(row: Row | undefined): string {
  if (row === undefined) return '-';
  const value = formatValue(row.median, row.unit);
  return row.ratio === null || row.server === 'direct' ? value : `${value} (${row.ratio.toPrecision(2)})`;
}

function targetTable(rows: readonly Row[]): string {
  const lines = judge(rows).map(({ target, value, verdict }) => [
    target.claim,
    `${target.atLeast ? '>=' : '<='} ${target.bound}`,
    value === undefined ? '-' : Number(value.toPrecision(3)).toString(),
    verdict === 'fails' ? '**fails**' : verdict,
  ]);
  return table(['target', 'bound', 'this run', ''], lines);
}

function metricTable(metrics: readonly Metric[]): string {
  return table(
    ['metric', 'what it is', 'better'],
    metrics.map(({ name, meaning, better }) => [`\`${name}\``, meaning, better]),
  );
}

function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...lines].map((line) => `| ${line.join(' | ')} |`).join('\n');
}
