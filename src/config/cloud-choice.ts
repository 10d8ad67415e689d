/** Which cloud is meant: one of clouds.yaml, or the one that the OS_* variables make up. */
import { CinderfsError } from '../errors.js';
import type { CloudFiles } from './cloud-files.js';
import type { LoadedConfig } from './load.js';
import { nearest } from './nearest.js';
import { settingsOf, textOf, type Settings } from './settings.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** The cloud that was chosen, as it stands in the file or the environment. */
export interface ChosenCloud {
  readonly name: string;
  readonly source: string;
  readonly settings: Settings;
  /** OS_REGION_NAME chooses among the regions of a cloud of clouds.yaml. */
  readonly region: string | undefined;
}

/**
 * The cloud named by `os_cloud`, else the one of the OS_* variables, else the only one there is, else one made of the
 * options alone. Throws `cloud_missing` with the places that were searched.
 */
export function chooseCloud(
  loaded: LoadedConfig,
  env: Environment,
  files: CloudFiles,
  overrides: Settings,
): ChosenCloud {
  const envName = env.OS_CLOUD_NAME ?? 'envvars';
  if (files.clouds.has(envName)) {
    throw new CinderfsError(
      'config_invalid',
      `${files.path ?? 'clouds.yaml'} defines a cloud named '${envName}', which is the name of the cloud that the OS_* variables make up; rename one of them`,
    );
  }
  const fromEnv = environmentCloud(env);
  const only = files.clouds.size === 1 ? [...files.clouds.keys()][0] : undefined;
  const name = loaded.config.os_cloud ?? (fromEnv === undefined ? only : envName);
  const settings = name === undefined ? undefined : files.clouds.get(name);
  if (name !== undefined && settings !== undefined) {
    return { name, source: files.path ?? '', settings, region: textOf(env.OS_REGION_NAME) };
  }
  if (name === envName && fromEnv !== undefined) {
    return { name, source: 'environment', settings: fromEnv, region: undefined };
  }
  if (name === undefined && textOf(overrides.auth_url) !== undefined) {
    return { name: 'options', source: 'options', settings: {}, region: undefined };
  }
  throw cloudMissing(name, loaded, files);
}

/** Variables that choose or place a cloud but do not make one. */
const SELECTORS = /^OS_(CLOUD|REGION_NAME|CLIENT_CONFIG_FILE|CLIENT_SECURE_FILE|CLOUD_NAME)$/;
/** Variables that belong to test harnesses. */
const FOREIGN = /^OS_(TEST|STD|LOG)/;

function environmentCloud(env: Environment): Settings | undefined {
  const variables = Object.entries(env).filter(
    ([name, value]) => name.startsWith('OS_') && !FOREIGN.test(name) && textOf(value) !== undefined,
  );
  if (variables.every(([name]) => SELECTORS.test(name))) return undefined;
  return settingsOf(
    Object.fromEntries(variables.map(([name, value]) => [name.slice(3).toLowerCase(), value])),
  );
}

function cloudMissing(name: string | undefined, { origins }: LoadedConfig, files: CloudFiles): CinderfsError {
  const known = [...files.clouds.keys()];
  const close = name === undefined ? undefined : nearest(name, known);
  const what =
    name === undefined
      ? 'no cloud is chosen'
      : `cloud '${name}' (from ${origins.os_cloud.where}) is not defined`;
  const there =
    files.path === undefined
      ? `; no clouds.yaml was found (looked for ${files.searched.filter((path) => path.endsWith('.yaml')).join(', ')})`
      : `; ${files.path} has ${known.length === 0 ? 'none' : known.join(', ')}`;
  const hint = close === undefined ? '' : `; did you mean '${close}'?`;
  const skipped = files.warnings.map((warning) => `; ${warning}`).join('');
  return new CinderfsError('cloud_missing', `${what}${there}${hint}${skipped}`);
}
