/** Finds and reads clouds.yaml, secure.yaml and clouds-public.yaml where openstacksdk would. */
import { statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { CinderfsError, reasonOf } from '../errors.js';
import { isMapping, mergeSettings, settingsOf, type Settings } from './settings.js';
import { readTrusted, untrusted, Untrusted } from './trusted-file.js';
import { parseYaml } from './yaml-file.js';

export interface CloudFilesOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  /** Read before the usual places. */
  readonly configFile: string | undefined;
  readonly secureFile: string | undefined;
  /** The uid that reads. Root (0) believes only what root alone can write, and nothing of the working directory. */
  readonly uid: number | undefined;
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

/** Throws `config_invalid` for a file that is broken, and for a named one that root must not believe. */
export function readCloudFiles(options: CloudFilesOptions): CloudFiles {
  const warnings: string[] = [];
  const places = searchPath(options);
  const read = (name: string, named?: string): FoundFile | undefined =>
    readFirst(candidates(name, places, named), { ...options, named, warnings });
  const clouds = read('clouds', options.configFile);
  const secure = read('secure', options.secureFile);
  for (const file of [clouds, secure]) if (file !== undefined) warnIfPublic(file, warnings);
  return {
    clouds: cloudsOf(mergeSettings(clouds?.content ?? {}, secure?.content ?? {})),
    path: clouds?.path ?? secure?.path,
    searched: candidates('clouds', places, options.configFile),
    warnings,
    profile: (name) => {
      const vendors = read('clouds-public')?.content.public_clouds;
      return isMapping(vendors) && isMapping(vendors[name]) ? settingsOf(vendors[name]) : undefined;
    },
  };
}

function searchPath({ env, directory, uid }: CloudFilesOptions): readonly string[] {
  const home = env.HOME ?? homedir();
  // A snap's HOME is not the user's.
  const unixHome = env.SNAP_REAL_HOME ?? home;
  const sites = (env.XDG_CONFIG_DIRS ?? '/etc/xdg').split(':').filter((site) => site !== '');
  return [
    // Root's working directory may belong to any user.
    ...(uid === 0 ? [] : [directory]),
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

interface FoundFile {
  readonly path: string;
  readonly content: Settings;
}

interface Reading {
  readonly uid: number | undefined;
  readonly named: string | undefined;
  readonly warnings: string[];
}

/** The first file that is there and can be read. */
function readFirst(paths: readonly string[], reading: Reading): FoundFile | undefined {
  for (const path of paths) {
    const text = readIfThere(path, reading);
    if (text === undefined) continue;
    try {
      return { path, content: settingsOf(parseYaml(text), new Set(['clouds', 'public_clouds'])) };
    } catch (cause) {
      throw new CinderfsError('config_invalid', `${path} cannot be understood: ${reasonOf(cause)}`, { path });
    }
  }
  return undefined;
}

function readIfThere(path: string, { uid, named, warnings }: Reading): string | undefined {
  try {
    return readTrusted(path, uid);
  } catch (error) {
    if (error instanceof Untrusted && path === named) throw untrusted(path, error);
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

function warnIfPublic({ path, content }: FoundFile, warnings: string[]): void {
  if ((statSync(path).mode & 0o004) === 0 || !holdsSecret(content)) return;
  warnings.push(`${path} can be read by every user of this host, and holds secrets; chmod 0600 it`);
}

const SECRET_KEYS = new Set(['password', 'application_credential_secret', 'token', 'auth_token', 'passcode']);

function holdsSecret(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(holdsSecret);
  if (!isMapping(value)) return false;
  return Object.entries(value).some(
    ([key, member]) => SECRET_KEYS.has(key.replaceAll('-', '_')) || holdsSecret(member),
  );
}
