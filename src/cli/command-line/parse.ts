import { parseArgs, type ParseArgsConfig } from 'node:util';
import { flagOptions } from '../../config/help.js';
import { nearest } from '../../config/nearest.js';
import { flagOf } from '../../config/option-spec.js';
import { optionEntries, type OptionName } from '../../config/options.js';
import { CinderfsError, reasonOf } from '../../errors.js';
import type { FlagValues, Verb } from './verb.js';

export interface ParsedVerb {
  readonly words: readonly string[];
  readonly flags: FlagValues;
}

/** Options of the table that a verb takes as flags. */
export function optionsOf(verb: Verb): readonly OptionName[] {
  return optionEntries()
    .filter(([, spec]) => verb.optionGroups.includes(spec.group) && spec.environmentOnly !== true)
    .map(([name]) => name);
}

/** Reads the words and flags after a verb; `help` when they ask for it. `usage` says what is wrong and where to look. */
export function parseVerb(verb: Verb, argv: readonly string[]): ParsedVerb | 'help' {
  const options = flagSpecs(verb);
  try {
    const { values, positionals } = parseArgs({
      args: withBareValues(verb, argv),
      options,
      allowPositionals: true,
      allowNegative: true,
      strict: true,
    });
    if (values.help === true) return 'help';
    requireWords(verb, positionals);
    return { words: positionals, flags: values };
  } catch (error) {
    throw new CinderfsError('usage', `${verb.name}: ${faultOf(error, Object.keys(options))}`, {
      remedy: `See \`cinderfs ${verb.name} --help\`.`,
      cause: error,
    });
  }
}

function requireWords({ words, usage }: Verb, given: readonly string[]): void {
  const wanted = usage.split(' ')[given.length];
  if (given.length < words.min) throw new Error(`missing ${wanted ?? 'argument'}`);
  if (given.length > words.max) throw new Error(`unexpected argument '${given[words.max] ?? ''}'`);
  if (given.includes('')) throw new Error('an argument is empty');
}

/** What is wrong, in our words where parseArgs advises what does not help here. */
function faultOf(error: unknown, flags: readonly string[]): string {
  const { code } = error as NodeJS.ErrnoException;
  const [, flag] = /^Unknown option '(-[^']*)'/.exec(reasonOf(error)) ?? [];
  if (code !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION' || flag === undefined) return reasonOf(error);
  const close = nearest(
    flag,
    [...flags, ...flags.map((name) => `no-${name}`)].map((name) => `--${name}`),
  );
  return `unknown option '${flag}'${close === undefined ? '' : `; did you mean '${close}'?`}`;
}

function flagSpecs(verb: Verb): NonNullable<ParseArgsConfig['options']> {
  const all = flagOptions();
  const wanted = optionsOf(verb).map((name) => flagOf(name).slice(2));
  const specs: NonNullable<ParseArgsConfig['options']> = { help: { type: 'boolean', short: 'h' } };
  for (const [name, spec] of Object.entries(all)) {
    if (wanted.includes(name)) specs[name] = spec;
  }
  for (const { name, short, value, multiple } of verb.flags) {
    specs[name] = {
      type: value === undefined ? 'boolean' : 'string',
      ...(short === undefined ? {} : { short }),
      ...(multiple === undefined ? {} : { multiple }),
    };
  }
  return specs;
}

/**
 * `--drain` as `--drain=inf`, and `--drain 60` as `--drain=60`: parseArgs would take any next word for its value, the
 * mount point too.
 */
function withBareValues(verb: Verb, argv: readonly string[]): string[] {
  const args: string[] = [];
  for (let index = 0; index < argv.length; index++) {
    const arg = argv[index] ?? '';
    if (arg === '--') return [...args, ...argv.slice(index)];
    const bare = verb.flags.find(({ name }) => arg === `--${name}`)?.bare;
    const next = argv[index + 1] ?? '';
    const value = bare !== undefined && /^\d+(\.\d+)?$/.test(next) ? next : undefined;
    if (value !== undefined) index++;
    args.push(bare === undefined ? arg : `${arg}=${value ?? bare}`);
  }
  return args;
}
