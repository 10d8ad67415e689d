import { readFile } from 'node:fs/promises';

/** The values of a configuration file of an OpenStack service on this host; none when there is no such file. */
export class OsloConf {
  readonly #values: ReadonlyMap<string, string>;

  private constructor(values: ReadonlyMap<string, string>) {
    this.#values = values;
  }

  /** `builtIn` are the service's own defaults of [DEFAULT] values that others refer to. */
  static async read(path: string, builtIn: Readonly<Record<string, string>> = {}): Promise<OsloConf> {
    const values = new Map(Object.entries(builtIn).map(([key, value]) => [`DEFAULT.${key}`, value]));
    let section = 'DEFAULT';
    for (const line of (await readFile(path, 'utf8').catch(() => '')).split('\n')) {
      section = /^\s*\[([^\]]+)\]/.exec(line)?.[1] ?? section;
      const [, key, value] = /^\s*([a-z_]+)\s*=\s*(\S.*?)\s*$/.exec(line) ?? [];
      if (key !== undefined && value !== undefined) values.set(`${section}.${key}`, value);
    }
    return new OsloConf(values);
  }

  /** The value, with `$name` replaced by what [DEFAULT] says of that name; undefined when it is not set or empty. */
  get(section: string, key: string): string | undefined {
    const value = this.#values.get(`${section}.${key}`);
    const whole = value?.replace(
      /\$(?:\{(\w+)\}|(\w+))/g,
      (_, braced: string | undefined, plain: string | undefined) =>
        this.#values.get(`DEFAULT.${braced ?? plain ?? ''}`) ?? '',
    );
    return whole === '' ? undefined : whole;
  }

  /** The value as oslo.config reads a boolean. */
  flag(section: string, key: string): boolean | undefined {
    const value = this.get(section, key);
    return value === undefined ? undefined : /^(?:1|t|true|on|y|yes)$/i.test(value);
  }
}
