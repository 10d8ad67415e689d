import { CinderfsError } from '../../errors.js';
import type { OutputFormat, OutputOptions } from './output.js';
import type { FlagValues, VerbFlag } from '../command-line/verb.js';

const FORMATS: readonly OutputFormat[] = ['table', 'json', 'value'];

/** The flags of every command that prints data, as openstackclient names them. */
export const OUTPUT_FLAGS: readonly VerbFlag[] = [
  { name: 'format', short: 'f', value: 'FORMAT', doc: `${FORMATS.join(', ')} (default: table)` },
  {
    name: 'column',
    short: 'c',
    value: 'COLUMN',
    multiple: true,
    doc: 'show only this column; may be repeated',
  },
];

/** A table is fitted to the terminal it goes to; what goes into a pipe or a file is whole. */
export function outputOptions(
  flags: FlagValues,
  width = process.stdout.columns as number | undefined,
): OutputOptions {
  const format = flags.format ?? 'table';
  if (!isFormat(format)) {
    throw new CinderfsError('usage', `--format takes ${FORMATS.join(', ')}, not '${String(format)}'`);
  }
  const columns = Array.isArray(flags.column) ? flags.column.map(String) : [];
  return { format, columns, width };
}

function isFormat(value: unknown): value is OutputFormat {
  return FORMATS.includes(value as OutputFormat);
}
