/** The option table as people and parsers see it: util.parseArgs, --help, docs/configuration.md. */
import { OPTION_GROUPS, flagOf, variableOf, type OptionSpec } from './option-spec.js';
import { optionEntries, type OptionName } from './options.js';

type FlagOptions = Record<string, { readonly type: 'string' | 'boolean' }>;

/** The `options` of util.parseArgs for all options that have a flag (call it with allowNegative: true). */
export function flagOptions(): FlagOptions {
  const flags: FlagOptions = {};
  for (const [name, spec] of optionEntries()) {
    if (spec.environmentOnly !== true) {
      flags[flagOf(name).slice(2)] = { type: spec.type === 'boolean' ? 'boolean' : 'string' };
    }
  }
  return flags;
}

/** The options part of `--help`, by group, wrapped at `width` columns. `only` limits it to some options. */
export function renderHelp(only?: readonly OptionName[], width = 100): string {
  const sections = Object.entries(OPTION_GROUPS).map(([group, title]) => {
    const lines = optionEntries()
      .filter(([, spec]) => spec.group === group && spec.environmentOnly !== true)
      .filter(([name]) => only?.includes(name) ?? true)
      .map(([name, spec]) => helpOf(name, spec, width));
    return lines.length === 0 ? '' : `${title}:\n${lines.join('\n')}\n`;
  });
  return sections.filter((section) => section !== '').join('\n');
}

/** docs/configuration.md, whole. */
export function renderConfigurationReference(): string {
  const groups = Object.entries(OPTION_GROUPS).map(([group, title]) => {
    const rows = optionEntries().filter(([, spec]) => spec.group === group);
    return `## ${title}\n\n${rows.map(([name, spec]) => referenceOf(name, spec)).join('\n')}`;
  });
  return `${PREAMBLE}\n${groups.join('\n')}`;
}

const PREAMBLE = `# Configuration

<!-- Generated from the option table, src/config/options.ts, by \`npm run docs\`. Do not edit. -->

A value is taken from the flag, else the environment, else the file, else the default. The file is INI in the manner of
oslo.config: \`name = value\` under \`[DEFAULT]\`, comments with \`#\` on lines of their own, lines that start with white
space continue the line above. An unknown name is an error.

Times are seconds, or carry a unit: \`90\`, \`90s\`, \`5m\`, \`2h\`, \`500ms\`. Sizes are bytes, or carry one: \`512MiB\`,
\`2GiB\`. Booleans are \`true\` or \`false\`; as flags, \`--passthrough\` or \`--no-passthrough\`.

Clouds are found as openstacksdk finds them: \`clouds.yaml\` and \`secure.yaml\` in the working directory,
\`~/.config/openstack\` and \`/etc/openstack\`, or the \`OS_*\` variables. An \`os_\` option given as a flag or in the file
overrides the entry of clouds.yaml; as a variable it does so only when no cloud is named, except \`OS_REGION_NAME\`.
`;

const INDENT = ' '.repeat(6);

function helpOf(name: string, spec: OptionSpec, width: number): string {
  const flag =
    spec.type === 'boolean' ? `--[no-]${flagOf(name).slice(2)}` : `${flagOf(name)} ${metavarOf(spec)}`;
  const fallback = defaultText(spec);
  const text = `${spec.doc}${fallback === '' ? '' : ` Default: ${fallback}.`}`;
  return `  ${flag}\n${wrap(text, width - INDENT.length)
    .map((line) => INDENT + line)
    .join('\n')}`;
}

function referenceOf(name: string, spec: OptionSpec): string {
  const flag = spec.environmentOnly === true ? '' : `, flag \`${flagOf(name)}\``;
  const fallback = defaultText(spec);
  return `### ${name}

${spec.doc}

${typeText(spec)}${fallback === '' ? '' : `; default ${fallback}`}; variable \`${variableOf(name, spec)}\`${flag}.
`;
}

function metavarOf(spec: OptionSpec): string {
  return spec.metavar ?? spec.values?.join('|') ?? spec.type.toUpperCase();
}

function typeText(spec: OptionSpec): string {
  if (spec.values !== undefined) return `One of ${spec.values.map((value) => `\`${value}\``).join(', ')}`;
  const type = `${spec.type[0]?.toUpperCase() ?? ''}${spec.type.slice(1)}`;
  if (spec.max === undefined) return type;
  return `${type} from ${spec.min ?? 0} to ${spec.max}`;
}

function defaultText(spec: OptionSpec): string {
  if (spec.defaultDoc !== undefined) return spec.defaultDoc;
  if (spec.type === 'mode') return `0${Number(spec.default).toString(8)}`;
  if (spec.type === 'seconds') return `${Number(spec.default)} s`;
  return typeof spec.default === 'object' ? spec.default.join(', ') : (spec.default ?? '').toString();
}

function wrap(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}
