import { parseArgs, type ParseArgsConfig } from 'node:util';
import { flagOptions } from '../config/help.js';
import { flagOf } from '../config/option-spec.js';
import { optionEntries, type OptionName } from '../config/options.js';
import { CinderfsError, reasonOf } from '../errors.js';
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
  try {
    const { values, positionals } = parseArgs({
      args: argv.map((arg) => withBareValue(verb, arg)),
      options: flagSpecs(verb),
      allowPositionals: true,
      allowNegative: true,
      strict: true,
    });
    if (values.help === true) return 'help';
    if (positionals.length < verb.words.min || positionals.length > verb.words.max) {
      throw new Error(
        `it takes ${verb.usage === '' ? 'no words' : verb.usage}, not '${positionals.join(' ')}'`,
      );
    }
    return { words: positionals, flags: values };
  } catch (error) {
    throw new CinderfsError('usage', `${verb.name}: ${reasonOf(error)}`, {
      remedy: `See \`cinderfs ${verb.name} --help\`.`,
      cause: error,
    });
  }
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

/** `--drain` as `--drain=inf`: parseArgs would take the next word for its value. */
function withBareValue(verb: Verb, arg: string): string {
  const bare = verb.flags.find(({ name }) => arg === `--${name}`)?.bare;
  return bare === undefined ? arg : `${arg}=${bare}`;
}
