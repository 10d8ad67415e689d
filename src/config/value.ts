/** Texts become values: one reader per option type. A reader throws Disallowed, which says what is allowed. */
import { readFileSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import type { OptionSpec, OptionType } from './option-spec.js';
import { Secret } from '../secret.js';

/** The text is not a value of the option; the message completes "must be ...". */
export class Disallowed extends Error {}

/** Reads `text` as a value of `spec`. Relative paths are taken from `directory`; without one they are refused. */
export function readValue(spec: OptionSpec, text: string, directory?: string): unknown {
  return readers[spec.type](text.trim(), spec, directory);
}

type Reader = (text: string, spec: OptionSpec, directory: string | undefined) => unknown;

const readers = {
  string: (text) => text,
  secret: (text) => new Secret(text),
  boolean: readBoolean,
  integer: (text, spec) =>
    within(/^[+-]?\d+$/.test(text) ? Number(text) : NaN, spec, `an integer${bounds(spec)}`),
  seconds: (text, spec) =>
    within(quantity(text, SECONDS), spec, `a time such as 90, 90s, 5m or 2h${bounds(spec, ' s')}`),
  bytes: (text, spec) =>
    within(quantity(text, BYTES), spec, `a size such as 1048576, 512MiB or 2GiB${bounds(spec, ' bytes')}`),
  mode: (text) => (/^0?[0-7]{3}$/.test(text) ? parseInt(text, 8) : disallow('an octal mode such as 0440')),
  enum: (text, spec) => spec.values?.find((value) => value === text) ?? disallow(allowed(spec)),
  path: readPath,
  list: readList,
  user: (text) => readAccount(text, '/etc/passwd', 'a user'),
  group: (text) => readAccount(text, '/etc/group', 'a group'),
  microversion: (text) => (/^3\.\d{1,3}$/.test(text) ? text : disallow('a Cinder microversion such as 3.69')),
} satisfies Record<OptionType, Reader>;

const SECONDS: Readonly<Record<string, number>> = { '': 1, ms: 0.001, s: 1, m: 60, h: 3600, d: 86400 };

// K, M, G without "i" are binary as in qemu-img; "MB" is what disk vendors mean.
const BYTES: Readonly<Record<string, number>> = Object.fromEntries([
  ['', 1],
  ['b', 1],
  ...['k', 'm', 'g', 't'].flatMap((prefix, index) => [
    [prefix, 1024 ** (index + 1)],
    [`${prefix}ib`, 1024 ** (index + 1)],
    [`${prefix}b`, 1000 ** (index + 1)],
  ]),
]) as Record<string, number>;

const TRUE = ['true', 'yes', 'on', '1', 't', 'y'];
const FALSE = ['false', 'no', 'off', '0', 'f', 'n'];

function disallow(requirement: string): never {
  throw new Disallowed(requirement);
}

function readList(text: string, spec: OptionSpec): readonly string[] {
  const items = text
    .split(/[,\n]/)
    .map((item) => item.trim())
    .filter((item) => item !== '');
  const { values } = spec;
  if (values !== undefined && items.some((item) => !values.includes(item)))
    return disallow(`a list of ${values.join(', ')}`);
  return Object.freeze(items);
}

function readBoolean(text: string): boolean {
  const word = text.toLowerCase();
  if (TRUE.includes(word)) return true;
  return FALSE.includes(word) ? false : disallow('true or false');
}

function readPath(text: string, _spec: OptionSpec, directory: string | undefined): string {
  if (text === '' || text.includes('\0')) return disallow('a path');
  if (isAbsolute(text)) return resolve(text);
  return directory === undefined ? disallow('an absolute path') : resolve(directory, text);
}

/** A number id, or the name of an account in `database` (passwd(5), group(5)). */
function readAccount(text: string, database: string, what: string): number {
  const id = /^\d{1,10}$/.test(text) ? Number(text) : lookUpAccount(text, database);
  return id !== undefined && id < 2 ** 32 - 1 ? id : disallow(`${what} of this host, by name or number`);
}

function lookUpAccount(name: string, database: string): number | undefined {
  for (const line of readFileSync(database, 'utf8').split('\n')) {
    const fields = line.split(':');
    if (fields[0] === name && /^\d+$/.test(fields[2] ?? '')) return Number(fields[2]);
  }
  return undefined;
}

/** `<number><unit>`; NaN when it is not that. */
function quantity(text: string, units: Readonly<Record<string, number>>): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text) ?? [];
  const factor = unit === undefined ? undefined : units[unit.toLowerCase()];
  return digits === undefined || factor === undefined ? NaN : Number(digits) * factor;
}

function within(value: number, spec: OptionSpec, requirement: string): number {
  const fits = value >= (spec.min ?? 0) && value <= (spec.max ?? Number.MAX_SAFE_INTEGER);
  const whole = spec.type === 'seconds' || Number.isInteger(value);
  return fits && whole ? value : disallow(requirement);
}

function bounds(spec: OptionSpec, unit = ''): string {
  const { min = 0, max } = spec;
  return max === undefined ? `, at least ${min}${unit}` : ` from ${min}${unit} to ${max}${unit}`;
}

function allowed(spec: OptionSpec): string {
  return `one of ${(spec.values ?? []).join(', ')}`;
}
