import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';
import { isMapping } from './settings.js';

/** Tags of values that PyYAML converts; here they are text as well. */
const SCALAR_TAGS = /^tag:yaml\.org,2002:(?:bool|float|int|timestamp)$/;

/** Aliases in one file: more are a bomb. */
const MAX_ALIASES = 1000;

/**
 * The mapping in a YAML (or JSON) file: merge keys merged, the last of equal keys kept, and every scalar text as it is
 * written: a password 0123, 1e3 or yes is that. Only an unquoted null, ~ or nothing is null. Throws an Error whose
 * message quotes nothing of the file: it may hold secrets.
 */
export function parseYaml(text: string): Readonly<Record<string, unknown>> {
  // Not at the top: a cloud may be named by variables alone, and the package takes 4 MiB of each process.
  const { parseDocument } = createRequire(import.meta.url)('yaml') as typeof Yaml;
  const document = parseDocument(text, {
    schema: 'failsafe',
    customTags: (tags) => [...tags, 'null'],
    merge: true,
    uniqueKeys: false,
    logLevel: 'error',
    prettyErrors: false,
  });
  const [fault] = document.errors;
  if (fault !== undefined) throw new Error(`line ${lineOf(text, fault.pos[0])}: ${plainly(fault.code)}`);
  const tag = document.warnings.find(
    ({ code, message }) => code === 'TAG_RESOLVE_FAILED' && !SCALAR_TAGS.test(message.replace(/^.*: /, '')),
  );
  if (tag !== undefined) throw new Error(`line ${lineOf(text, tag.pos[0])}: a tag that is not known`);
  const content: unknown = document.toJS({ maxAliasCount: MAX_ALIASES }) ?? {};
  if (!isMapping(content)) throw new Error('it is not a mapping');
  return content;
}

function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}

/** `BAD_INDENT` is "bad indent". */
function plainly(code: string): string {
  return `not YAML (${code.toLowerCase().replaceAll('_', ' ')})`;
}
