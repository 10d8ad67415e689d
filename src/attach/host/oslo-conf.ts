import { readFile } from 'node:fs/promises';
import { parseOsloIni } from '../../config/oslo-ini.js';

/** `$name`, `${name}`, each with a section in front or not; `$$` and `\$` are a dollar sign. */
const REFERENCE = /(?:\$|\\)\$|\$(?:\{([a-z_][\w.]*)\}|([a-z_][\w.]*))/gi;

/**
 * The values of a configuration file of an OpenStack service on this host; none when there is no such file. What
 * oslo.config refuses is passed over: the service that it belongs to does not run then.
 */
export class OsloConf {
  readonly #values: ReadonlyMap<string, string>;

  private constructor(values: ReadonlyMap<string, string>) {
    this.#values = values;
  }

  /** `builtIn` are the service's own defaults of [DEFAULT] values that others refer to. */
  static async read(path: string, builtIn: Readonly<Record<string, string>> = {}): Promise<OsloConf> {
    const values = new Map(Object.entries(builtIn).map(([name, value]) => [keyOf('DEFAULT', name), value]));
    for (const item of parseOsloIni(await readFile(path, 'utf8').catch(() => '')))
      if (item.kind === 'setting' && item.section !== undefined)
        values.set(keyOf(item.section, item.name), item.value);
    return new OsloConf(values);
  }

  /** The value with its references replaced, by nothing where they are not set; undefined when it is not set or empty. */
  get(section: string, name: string): string | undefined {
    const value = this.#whole(section, name);
    return value === '' ? undefined : value;
  }

  /** The value as oslo.config reads a boolean; undefined for what it refuses. */
  flag(section: string, name: string): boolean | undefined {
    const value = this.get(section, name) ?? '';
    if (/^(?:1|true|on|yes)$/i.test(value)) return true;
    return /^(?:0|false|off|no)$/i.test(value) ? false : undefined;
  }

  /** `within`: the values that are being replaced; one that refers to itself is empty there. */
  #whole(section: string, name: string, within: readonly string[] = []): string {
    const key = keyOf(section, name);
    if (within.includes(key)) return '';
    const value = this.#values.get(key) ?? '';
    return value.replace(REFERENCE, (_, braced: string | undefined, plain: string | undefined) => {
      const wanted = braced ?? plain;
      return wanted === undefined ? '$' : this.#referred(section, wanted, [...within, key]);
    });
  }

  /** `section.name`, or a name of the same section, or else of [DEFAULT]. */
  #referred(section: string, wanted: string, within: readonly string[]): string {
    const dot = wanted.indexOf('.');
    const group = dot === -1 ? section : wanted.slice(0, dot);
    return this.#whole(group, wanted.slice(dot + 1), within) || this.#whole('DEFAULT', wanted, within);
  }
}

/** No section and no name has a line break. */
function keyOf(section: string, name: string): string {
  return `${section}\n${name}`;
}
