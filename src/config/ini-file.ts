import { parse } from 'ini';
import { CinderfsError } from '../errors.js';

/** A setting of an INI file and the line it stands on. */
export interface IniSetting {
  readonly name: string;
  readonly value: string;
  readonly line: number;
}

const SECTIONS = ['DEFAULT', 'cinderfs'];

/**
 * The settings of an oslo-style INI file: `name = value` under [DEFAULT] (or [cinderfs], or no section), whole-line
 * comments with # or ;, lines that start with white space continue the one before, dashes in names count as
 * underscores. Throws `config_invalid` with the place for anything else.
 */
export function parseIni(text: string, path: string): readonly IniSetting[] {
  const settings: IniSetting[] = [];
  for (const { line, text: content } of logicalLines(text)) {
    const fail = (what: string): never => {
      throw new CinderfsError('config_invalid', `${path}:${line}: ${what}`, { path });
    };
    const header = /^\[(.*)\]$/.exec(content);
    if (header !== null) {
      const section = header[1]?.trim() ?? '';
      if (!SECTIONS.includes(section)) fail(`section [${section}] is unknown; there is only [DEFAULT]`);
      continue;
    }
    const [, rawName, rawValue] = /^([A-Za-z][\w-]*)\s*=([^]*)$/.exec(content) ?? [];
    if (rawName === undefined || rawValue === undefined) return fail(`'${content}' is not NAME = VALUE`);
    settings.push({ name: rawName.replaceAll('-', '_'), value: unquote(rawValue.trim()), line });
  }
  return settings;
}

/** Lines with their continuations; comments and empty lines dropped. */
function logicalLines(text: string): { line: number; text: string }[] {
  const lines: { line: number; text: string }[] = [];
  for (const [index, raw] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const content = raw.trim();
    if (content === '' || content.startsWith('#') || content.startsWith(';')) continue;
    const last = lines.at(-1);
    if (/^\s/.test(raw) && last !== undefined) last.text += `\n${content}`;
    else lines.push({ line: index + 1, text: content });
  }
  return lines;
}

/** ini's own unquoting, for quoted values only: unquoted ones it would cut at `;` and `#`, which oslo keeps. */
function unquote(value: string): string {
  const quoted = /^(["']).*\1$/.test(value) && value.length > 1;
  return quoted ? String(parse(`value = ${value}`).value) : value;
}
