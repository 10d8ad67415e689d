import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { CloudConfig, TlsConfig } from '../../config/cloud-config.js';
import type { LoadedConfig } from '../../config/load.js';
import { OPTIONS, optionEntries } from '../../config/options.js';
import type { OptionSpec } from '../../config/option-spec.js';
import { pack, unpack, type Packed } from '../../config/packed.js';
import { runDirOf } from '../../daemon/run-dir.js';
import { CinderfsError, reasonOf } from '../../errors.js';
import { VERSION } from '../../version.js';
import { cloudOf, loadSettings, logFor } from './settings.js';
import type { Invocation } from '../command-line/verb.js';

/**
 * Everything that the engines of a mount are told of how it was started: later ones must not depend on a shell that is
 * gone, on a file that was moved, on a directory that was removed.
 */
export interface KeptSettings {
  /** Of the program that read the settings. */
  readonly version: string;
  readonly loaded: Packed;
  /** Absent where none are needed. */
  readonly cloud?: Packed;
  /** What the certificate files of the cloud held, by path. */
  readonly certificates: Readonly<Record<string, string>>;
  /** Where the settings were read from, to read them again (new credentials, a later version). */
  readonly sources: Sources;
}

export interface Sources {
  readonly words: readonly string[];
  readonly flags: Invocation['flags'];
  /** Variables, with their secrets. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where relative paths start. */
  readonly directory: string;
}

/** What an engine serves with. */
export interface EngineSettings {
  readonly loaded: LoadedConfig;
  readonly cloud: CloudConfig;
  /** What the files say of the cloud now; throws where they are gone or cannot be used. For new credentials. */
  readonly reread: () => CloudConfig;
}

const CERTIFICATES = ['cacert', 'extra', 'cert', 'key'] as const;

/** For all engines to come. */
export function keepSettings(
  { words, flags, env }: Invocation,
  { loaded, cloud, directory }: Omit<EngineSettings, 'reread'> & { readonly directory: string },
): KeptSettings {
  return {
    version: VERSION,
    loaded: pack(loaded),
    cloud: pack(cloud),
    certificates: Object.fromEntries(
      CERTIFICATES.flatMap((name) => contentOf(cloud.tls[name])).map(([file, text]) => [file, text]),
    ),
    sources: { words, flags, env: { ...env }, directory },
  };
}

/** The same without secrets, for a process that talks to no cloud. */
export function withoutSecrets({ version, loaded, sources }: KeptSettings): KeptSettings {
  return { version, loaded, certificates: {}, sources: { ...sources, env: {} } };
}

/**
 * The settings as they were when the mount was made. A later version of the program reads them anew where it can: it
 * may understand more. Certificates whose files are gone are put below `run_dir`, as certificateFiles() names them.
 */
export function engineSettings(kept: KeptSettings, mountpoint: string): EngineSettings {
  return understood(() => settingsIn(kept, mountpoint));
}

function settingsIn(kept: KeptSettings, mountpoint: string): EngineSettings {
  const loaded = keptConfig(kept);
  const settings = kept.version === VERSION ? undefined : readAgain(kept, loaded);
  const { cloud, ...rest } = settings ?? { loaded, cloud: unpack(kept.cloud) as CloudConfig };
  return {
    ...rest,
    cloud: withCertificates(cloud, kept, runDirOf(loaded.config, mountpoint)),
    reread: () => cloudOf(loadSettings(kept.sources), kept.sources),
  };
}

/** A supervisor of another version may have kept what this one cannot read. */
function understood<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (CinderfsError.is(cause)) throw cause;
    throw new CinderfsError(
      'upgrade_failed',
      'the settings that this mount was started with cannot be read',
      {
        remedy: 'Unmount, and mount again.',
        cause,
      },
    );
  }
}

/** Files that engines may have made in the run directory of a mount, to be removed with it. */
export function certificateFiles(runDir: string): readonly string[] {
  return CERTIFICATES.map((name) => path.join(runDir, `${name}.pem`));
}

function readAgain(
  kept: KeptSettings,
  keptSettings: LoadedConfig,
): Pick<EngineSettings, 'loaded' | 'cloud'> | undefined {
  try {
    const loaded = loadSettings(kept.sources);
    return { loaded, cloud: cloudOf(loaded, kept.sources) };
  } catch (error) {
    const reason = reasonOf(error);
    logFor(keptSettings).warn(
      { reason },
      'the settings cannot be read again; serving with those of the start',
    );
    return undefined;
  }
}

/** Options that the version which read them did not have are at their defaults. */
export function keptConfig(kept: KeptSettings): LoadedConfig {
  return understood(() => configIn(kept));
}

function configIn(kept: KeptSettings): LoadedConfig {
  const { config, origins } = unpack(kept.loaded) as LoadedConfig;
  const known: Readonly<Record<string, unknown>> = { ...config };
  const from: Readonly<Record<string, unknown>> = { ...origins };
  const values = optionEntries().map(([name]) => [
    name,
    name in from ? known[name] : defaultOf(OPTIONS[name]),
  ]);
  const origin = optionEntries().map(([name]) => [name, from[name] ?? { kind: 'default', where: 'default' }]);
  return Object.freeze({
    config: Object.freeze(Object.fromEntries(values)) as LoadedConfig['config'],
    origins: Object.freeze(Object.fromEntries(origin)) as LoadedConfig['origins'],
  });
}

/** The cloud, with certificates whose files are gone in files of our own. */
function withCertificates(
  cloud: CloudConfig,
  { certificates }: KeptSettings,
  directory: string,
): CloudConfig {
  const tls: Record<string, unknown> = { ...cloud.tls };
  for (const name of CERTIFICATES) {
    const file = cloud.tls[name];
    const text = file === undefined ? undefined : certificates[file];
    if (file === undefined || text === undefined || contentOf(file).length > 0) continue;
    const ours = path.join(directory, `${name}.pem`);
    rmSync(ours, { force: true });
    writeFileSync(ours, text, { mode: 0o600, flag: 'wx' });
    tls[name] = ours;
  }
  return Object.freeze({ ...cloud, tls: Object.freeze(tls) as unknown as TlsConfig });
}

/** One pair, or none where there is no such file; a directory of certificates is not kept. */
function contentOf(file: string | undefined): [string, string][] {
  try {
    return file === undefined ? [] : [[file, readFileSync(file, 'utf8')]];
  } catch {
    return [];
  }
}

function defaultOf(spec: OptionSpec): unknown {
  return typeof spec.default === 'function' ? spec.default() : spec.default;
}
