/** Finds and reads clouds.yaml, secure.yaml and clouds-public.yaml where openstacksdk would. */
import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { reasonOf } from '../errors.js';
import { isMapping, mergeSettings, settingsOf, type Settings } from './settings.js';

export interface CloudFilesOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  /** Read before the usual places. */
  readonly configFile: string | undefined;
  readonly secureFile: string | undefined;
}

/** What the files say, secure.yaml merged over clouds.yaml. */
export interface CloudFiles {
  readonly clouds: ReadonlyMap<string, Settings>;
  /** The clouds.yaml that was used. */
  readonly path: string | undefined;
  /** Every path that was looked at for clouds.yaml, in order. */
  readonly searched: readonly string[];
  readonly warnings: readonly string[];
  /** A vendor profile from clouds-public.yaml. */
  profile(name: string): Settings | undefined;
}

export function readCloudFiles(options: CloudFilesOptions): CloudFiles {
  const warnings: string[] = [];
  const places = searchPath(options);
  const searched = candidates('clouds', places, options.configFile);
  const clouds = readFirst(searched, warnings);
  const secure = readFirst(candidates('secure', places, options.secureFile), warnings);
  if (secure !== undefined) warnIfPublic(secure.path, warnings);
  return {
    clouds: cloudsOf(mergeSettings(clouds?.content ?? {}, secure?.content ?? {})),
    path: clouds?.path ?? secure?.path,
    searched,
    warnings,
    profile: (name) => {
      const vendors = readFirst(candidates('clouds-public', places, undefined), warnings)?.content
        .public_clouds;
      return isMapping(vendors) && isMapping(vendors[name]) ? settingsOf(vendors[name]) : undefined;
    },
  };
}

function searchPath({ env, directory }: CloudFilesOptions): readonly string[] {
  const home = env.HOME ?? homedir();
  // A snap's HOME is not the user's.
  const unixHome = env.SNAP_REAL_HOME ?? home;
  const sites = (env.XDG_CONFIG_DIRS ?? '/etc/xdg').split(':').filter((site) => site !== '');
  return [
    directory,
    join(env.XDG_CONFIG_HOME ?? join(home, '.config'), 'openstack'),
    join(unixHome, '.config', 'openstack'),
    ...sites.map((site) => join(site, 'openstack')),
    '/etc/openstack',
  ];
}

function candidates(name: string, places: readonly string[], first: string | undefined): readonly string[] {
  const usual = places.flatMap((place) =>
    ['.yaml', '.yml', '.json'].map((suffix) => join(place, name + suffix)),
  );
  return [...new Set(first === undefined ? usual : [first, ...usual])];
}

/** The first file that can be read and parsed; a broken one is passed over, as openstacksdk does, but not silently. */
function readFirst(
  paths: readonly string[],
  warnings: string[],
): { path: string; content: Settings } | undefined {
  for (const path of paths) {
    const text = readIfThere(path, warnings);
    if (text === undefined) continue;
    try {
      // YAML is a superset of JSON. An empty file is an empty mapping.
      const content: unknown = parse(text) ?? {};
      if (!isMapping(content)) throw new Error('it is not a mapping');
      return { path, content: settingsOf(content, new Set(['clouds', 'public_clouds'])) };
    } catch (error) {
      // The parser quotes the lines around the fault, and they may hold the password: only the first line is ours to show.
      const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : reasonOf(error);
      warnings.push(`skipped ${path}: ${reason.replace(/:$/, '')}`);
    }
  }
  return undefined;
}

function readIfThere(path: string, warnings: string[]): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const missing =
      error instanceof Error && 'code' in error && /^(ENOENT|ENOTDIR)$/.test(String(error.code));
    if (!missing) warnings.push(`skipped ${path}: ${reasonOf(error)}`);
    return undefined;
  }
}

function cloudsOf(content: Settings): ReadonlyMap<string, Settings> {
  const clouds = isMapping(content.clouds) ? content.clouds : {};
  return new Map(
    Object.entries(clouds)
      .filter((entry): entry is [string, Record<string, unknown>] => isMapping(entry[1]))
      .map(([name, cloud]) => [name, settingsOf(cloud)]),
  );
}

function warnIfPublic(path: string, warnings: string[]): void {
  if ((statSync(path).mode & 0o004) !== 0) warnings.push(`${path} can be read by everybody; chmod 0600 it`);
}
