import { CinderfsError, reasonOf } from '../errors.js';
import { type FileSetting, settingsIn } from './ini-file.js';
import { nearest } from './nearest.js';
import { flagOf, variableOf, type OptionSpec } from './option-spec.js';
import { OPTIONS, optionEntries, type Config, type OptionName } from './options.js';
import { readTrusted, untrusted, Untrusted } from './trusted-file.js';
import { Disallowed, readValue } from './value.js';

/** Where a value came from; `where` is the flag, the variable, `FILE:LINE` or "default". */
export interface Origin {
  readonly kind: 'flag' | 'environment' | 'file' | 'default';
  readonly where: string;
}

export type Origins = Readonly<Record<OptionName, Origin>>;

export interface LoadedConfig {
  readonly config: Config;
  readonly origins: Origins;
}

/** `flags` as util.parseArgs answers (`image-list-ttl` -> text, booleans already boolean); keys of no option are ignored. */
export interface ConfigSources {
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Relative paths of flags and variables start here. */
  readonly directory?: string;
  /** The uid that reads; this process's own user when absent. Root (0) reads only what root alone can write. */
  readonly uid?: number;
}

interface Given {
  readonly text: string;
  readonly origin: Origin;
}

/**
 * The configuration: flag, else environment, else file, else default. Throws `config_invalid` naming the value, where
 * it was set and what is allowed.
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const file = readFile(sources);
  const values: Record<string, unknown> = {};
  const origins: Record<string, Origin> = {};
  for (const [name, spec] of optionEntries()) {
    const given = fromFlag(name, sources) ?? fromEnvironment(name, spec, sources) ?? file.get(name);
    values[name] = given === undefined ? defaultOf(spec) : valueOf(name, spec, given, sources);
    origins[name] = given?.origin ?? { kind: 'default', where: 'default' };
  }
  return Object.freeze({
    config: Object.freeze(values) as Config,
    origins: Object.freeze(origins),
  });
}

function fromFlag(name: string, { flags }: ConfigSources): Given | undefined {
  const value = flags[flagOf(name).slice(2)];
  if (typeof value !== 'string' && typeof value !== 'boolean') return undefined;
  return { text: String(value), origin: { kind: 'flag', where: flagOf(name) } };
}

/** An empty variable counts as unset, as everywhere in OpenStack. */
function fromEnvironment(name: string, spec: OptionSpec, { env }: ConfigSources): Given | undefined {
  const variable = variableOf(name, spec);
  const text = env[variable] ?? '';
  return text === '' ? undefined : { text, origin: { kind: 'environment', where: variable } };
}

function readFile(sources: ConfigSources): ReadonlyMap<string, Given> {
  const name = 'config_file';
  const given = fromFlag(name, sources) ?? fromEnvironment(name, OPTIONS[name], sources);
  const path =
    given === undefined ? OPTIONS[name].default : (valueOf(name, OPTIONS[name], given, sources) as string);
  let text: string;
  try {
    text = readTrusted(path, sources.uid ?? process.getuid?.());
  } catch (error) {
    if (error instanceof Untrusted) throw untrusted(path, error);
    if (given === undefined && isMissing(error)) return new Map();
    throw new CinderfsError('config_invalid', `cannot read the configuration file: ${reasonOf(error)}`, {
      path,
      cause: error,
    });
  }
  return new Map(settingsIn(text, path).map((setting) => [setting.name, fromSetting(setting, path)]));
}

function fromSetting({ name, value, line }: FileSetting, path: string): Given {
  const where = `${path}:${line}`;
  if (!Object.hasOwn(OPTIONS, name)) {
    const close = nearest(name, Object.keys(OPTIONS));
    const hint = close === undefined ? '' : `; did you mean '${close}'?`;
    throw new CinderfsError('config_invalid', `${where}: there is no option '${name}'${hint}`, { path });
  }
  const spec: OptionSpec = OPTIONS[name as OptionName];
  if (spec.environmentOnly === true || name === 'config_file') {
    const place = name === 'config_file' ? flagOf(name) : `secure.yaml or ${variableOf(name, spec)}`;
    throw new CinderfsError('config_invalid', `${where}: ${name} cannot be set here; use ${place}`, { path });
  }
  return { text: value, origin: { kind: 'file', where } };
}

function valueOf(name: string, spec: OptionSpec, { text, origin }: Given, sources: ConfigSources): unknown {
  // A daemon's working directory must not matter: paths in the file are absolute.
  const directory = origin.kind === 'file' ? undefined : (sources.directory ?? process.cwd());
  try {
    return readValue(spec, text, directory);
  } catch (error) {
    if (!(error instanceof Disallowed)) throw error;
    throw new CinderfsError(
      'config_invalid',
      `${name} = '${text}' (from ${origin.where}): it must be ${error.message}`,
    );
  }
}

function defaultOf(spec: OptionSpec): unknown {
  return typeof spec.default === 'function' ? spec.default() : spec.default;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
