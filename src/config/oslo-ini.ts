/** A part of a configuration file, in the order of the lines. The line numbers begin at 1. */
export type IniItem = IniSection | IniSetting | IniFault;

interface IniSection {
  readonly kind: 'section';
  readonly line: number;
  /** In lower case, unless it is DEFAULT. */
  readonly section: string;
}

/** The last of several settings of one name counts, across all parts of its section. */
export interface IniSetting {
  readonly kind: 'setting';
  /** The first of its lines. */
  readonly line: number;
  /** Undefined before the first section and after a faulty header: oslo.config refuses such settings. */
  readonly section: string | undefined;
  readonly name: string;
  /** Its lines are joined by newlines. */
  readonly value: string;
}

/** A line for which oslo.config refuses the file. */
interface IniFault {
  readonly kind: 'fault';
  readonly line: number;
  readonly what: string;
}

/**
 * Reads a file as oslo.config does: `[section]`, then `name = value` or `name: value`; a line that begins with a space or
 * a tab continues the value before it, unless a blank line or a comment is between them; whole-line comments with # or ;.
 * A pair of quotes around the first line of a value is taken off. Goes on after a fault. A byte order mark is tolerated.
 */
export function parseOsloIni(text: string): readonly IniItem[] {
  const items: IniItem[] = [];
  let section: string | undefined;
  /** What a continuation line belongs to. */
  let open: (IniSetting & { value: string }) | undefined;
  for (const [index, raw] of linesOf(text).entries()) {
    const [line, content] = [index + 1, raw.trimEnd()];
    if (/^[ \t]/.test(content)) {
      if (open !== undefined) open.value += `\n${content.trimStart()}`;
      else items.push(fault(line, 'the line is indented, and there is no setting above that it continues'));
      continue;
    }
    open = undefined;
    if (content === '' || /^[#;]/.test(content)) continue;
    if (content.startsWith('[')) {
      section = /^\[(.+)\]$/.exec(content)?.[1]?.replace(/^(?!DEFAULT$).*/, (name) => name.toLowerCase());
      items.push(
        section === undefined
          ? fault(line, `'${content}' is not [SECTION]`)
          : { kind: 'section', line, section },
      );
      continue;
    }
    const [, name = '', value = ''] = /^([^:=]*)[:=](.*)$/.exec(content) ?? [];
    if (name.trim() === '') items.push(fault(line, `'${content}' is not NAME = VALUE`));
    else {
      open = { kind: 'setting', line, section, name: name.trim(), value: unquoted(value.trim()) };
      items.push(open);
    }
  }
  return items;
}

function linesOf(text: string): readonly string[] {
  return text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
}

function fault(line: number, what: string): IniFault {
  return { kind: 'fault', line, what };
}

function unquoted(value: string): string {
  return /^["']/.test(value) && value.endsWith(value.charAt(0)) ? value.slice(1, -1) : value;
}
