import { renderHelp } from '../../config/help.js';
import { optionsOf } from './parse.js';
import type { Verb, VerbFlag } from './verb.js';

/** `cinderfs --help`: the verbs, a line each. */
export function generalHelp(verbs: readonly Verb[]): string {
  const width = Math.max(...verbs.map((verb) => synopsis(verb).length));
  const lines = verbs.map((verb) => `  ${synopsis(verb).padEnd(width)}  ${verb.summary}\n`);
  return `cinderfs: every Cinder-backed image as a read-only file

Usage: cinderfs VERB [WORDS] [FLAGS]

${lines.join('')}
cinderfs VERB --help shows the flags of a verb, cinderfs --version the version.
Settings: flags, then CINDERFS_* and OS_* variables, then /etc/cinderfs/cinderfs.conf, then defaults.
`;
}

/** `cinderfs VERB --help`: examples first. */
export function verbHelp(verb: Verb): string {
  const options = renderHelp(optionsOf(verb));
  return `${verb.summary}

Usage: cinderfs ${synopsis(verb)} [FLAGS]

${verb.examples.map((example) => `  ${example}\n`).join('')}
${verb.flags.map(flagHelp).join('')}  -h, --help
      show this
${options === '' ? '' : `\n${options}`}`;
}

function synopsis(verb: Verb): string {
  return `${verb.name} ${verb.usage}`.trimEnd();
}

function flagHelp({ name, short, value, bare, doc }: VerbFlag): string {
  const flag = `--${name}${value === undefined ? '' : bare === undefined ? ` ${value}` : `[=${value}]`}`;
  return `  ${short === undefined ? '' : `-${short}, `}${flag}\n      ${doc}\n`;
}
