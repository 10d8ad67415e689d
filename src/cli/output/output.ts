import { CinderfsError } from '../../errors.js';
import { printableJson, printableLine } from '../../printable.js';

/** How commands print data, as openstackclient does. */
export type OutputFormat = 'table' | 'json' | 'value';

/** A value to show; objects are shown as JSON. */
export type Cell = string | number | boolean | object | null | undefined;

export type Row = Readonly<Record<string, Cell>>;

export interface OutputOptions {
  readonly format: OutputFormat;
  /** Columns to show, in this order; all of them when empty. Matched without regard to case. */
  readonly columns: readonly string[];
  /** Columns of the terminal; a table is not fitted to anything without one. */
  readonly width?: number | undefined;
}

/** Renders a list of rows that share their columns. `columns` names them, also when there is no row. */
export function renderList(rows: readonly Row[], columns: readonly string[], options: OutputOptions): string {
  const chosen = choose(columns, options.columns);
  switch (options.format) {
    case 'json':
      return json(rows.map((row) => pick(row, chosen)));
    case 'value':
      return rows.map((row) => `${chosen.map((column) => cell(row[column])).join(' ')}\n`).join('');
    case 'table':
      return table([chosen, ...rows.map((row) => chosen.map((column) => cell(row[column])))], options.width);
  }
}

/** Renders one thing: Field and Value in a table, an object in JSON, a value a line. */
export function renderOne(row: Row, options: OutputOptions): string {
  const chosen = choose(Object.keys(row), options.columns);
  switch (options.format) {
    case 'json':
      return json(pick(row, chosen));
    case 'value':
      return chosen.map((column) => `${cell(row[column])}\n`).join('');
    case 'table':
      return table(
        [['Field', 'Value'], ...chosen.map((column) => [column, cell(row[column])])],
        options.width,
      );
  }
}

function choose(columns: readonly string[], wanted: readonly string[]): readonly string[] {
  if (wanted.length === 0) return columns;
  return wanted.map((name) => {
    const found = columns.find((column) => column.toLowerCase() === name.toLowerCase());
    if (found === undefined) {
      throw new CinderfsError('usage', `no column '${name}'; there are ${columns.join(', ')}`);
    }
    return found;
  });
}

function pick(row: Row, columns: readonly string[]): Row {
  return Object.fromEntries(columns.map((column) => [column, row[column] ?? null]));
}

function json(value: unknown): string {
  return `${printableJson(JSON.stringify(value, null, 2))}\n`;
}

/** One line whatever the value holds: an image name may carry newlines or terminal escapes. */
function cell(value: Cell): string {
  if (value === null || value === undefined) return '';
  return printableLine(typeof value === 'object' ? JSON.stringify(value) : String(value));
}

/** A column is not cut below this: ids are copied from tables. */
const UUID_WIDTH = 36;

function table(lines: readonly (readonly string[])[], terminal: number | undefined): string {
  const needed = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => width(line[column] ?? ''))),
  );
  const widths = terminal === undefined ? needed : fitted(needed, terminal);
  const rule = `+${widths.map((size) => '-'.repeat(size + 2)).join('+')}+\n`;
  const [head = '', ...body] = lines.map(
    (line) => `|${widths.map((size, column) => ` ${fill(line[column] ?? '', size)} `).join('|')}|\n`,
  );
  return `${rule}${head}${rule}${body.join('')}${rule}`;
}

/** The widest columns give way until the table fits, or until none is wider than an id. */
function fitted(needed: readonly number[], terminal: number): readonly number[] {
  const widths = [...needed];
  const total = (): number => widths.reduce((sum, size) => sum + size + 3, 1);
  while (total() > terminal) {
    const widest = Math.max(...widths);
    if (widest <= UUID_WIDTH) break;
    const rivals = [UUID_WIDTH, ...widths.filter((size) => size < widest)];
    const target = Math.max(...rivals, widest - (total() - terminal));
    widths[widths.indexOf(widest)] = Math.min(target, widest - 1);
  }
  return widths;
}

/** Columns a text takes on a terminal; counted in code points, which is right for all but wide scripts. */
function width(text: string): number {
  return Array.from(text).length;
}

function fill(text: string, size: number): string {
  const chars = Array.from(text);
  return chars.length > size
    ? `${chars.slice(0, size - 1).join('')}…`
    : text + ' '.repeat(size - chars.length);
}
