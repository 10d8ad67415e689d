import { CinderfsError } from '../errors.js';

/** How commands print data, as openstackclient does. */
export type OutputFormat = 'table' | 'json' | 'value';

/** A value to show; objects are shown as JSON. */
export type Cell = string | number | boolean | object | null | undefined;

export type Row = Readonly<Record<string, Cell>>;

export interface OutputOptions {
  readonly format: OutputFormat;
  /** Columns to show, in this order; all of them when empty. Matched without regard to case. */
  readonly columns: readonly string[];
}

/** Renders a list of rows that share their columns. `columns` names them, also when there is no row. */
export function renderList(rows: readonly Row[], columns: readonly string[], options: OutputOptions): string {
  const chosen = choose(columns, options.columns);
  switch (options.format) {
    case 'json':
      return `${JSON.stringify(
        rows.map((row) => pick(row, chosen)),
        null,
        2,
      )}\n`;
    case 'value':
      return rows.map((row) => `${chosen.map((column) => cell(row[column])).join(' ')}\n`).join('');
    case 'table':
      return table([chosen, ...rows.map((row) => chosen.map((column) => cell(row[column])))]);
  }
}

/** Renders one thing: Field and Value in a table, an object in JSON, a value a line. */
export function renderOne(row: Row, options: OutputOptions): string {
  const chosen = choose(Object.keys(row), options.columns);
  switch (options.format) {
    case 'json':
      return `${JSON.stringify(pick(row, chosen), null, 2)}\n`;
    case 'value':
      return chosen.map((column) => `${cell(row[column])}\n`).join('');
    case 'table':
      return table([['Field', 'Value'], ...chosen.map((column) => [column, cell(row[column])])]);
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

/** One line whatever the value holds: an image name may carry newlines or terminal escapes. */
function cell(value: Cell): string {
  if (value === null || value === undefined) return '';
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  // eslint-disable-next-line no-control-regex -- control characters are exactly what must not reach a terminal
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (char) => encodeURIComponent(char));
}

function table(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => width(line[column] ?? ''))),
  );
  const rule = `+${widths.map((size) => '-'.repeat(size + 2)).join('+')}+\n`;
  const [head = '', ...body] = lines.map(
    (line) => `|${widths.map((size, column) => ` ${pad(line[column] ?? '', size)} `).join('|')}|\n`,
  );
  return `${rule}${head}${rule}${body.join('')}${rule}`;
}

/** Columns a text takes on a terminal; counted in code points, which is right for all but wide scripts. */
function width(text: string): number {
  return Array.from(text).length;
}

function pad(text: string, size: number): string {
  return text + ' '.repeat(size - width(text));
}
