import { CinderfsError } from '../errors.js';
import { chooseCloud, type ChosenCloud } from './cloud-choice.js';
import { cloudAuth } from './cloud-auth.js';
import type { CloudConfig, Interface, ServiceConfig, TlsConfig } from './cloud-config.js';
import { readCloudFiles, type CloudFiles } from './cloud-files.js';
import type { LoadedConfig } from './load.js';
import { optionEntries } from './options.js';
import { flagOfSetting, isMapping, mergeSettings, settingsOf, textOf, type Settings } from './settings.js';

export interface CloudSources {
  readonly loaded: LoadedConfig;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where clouds.yaml is looked for first; the working directory when absent. */
  readonly directory?: string;
}

/** The names under which openstacksdk looks for settings of a service, in its order. */
const SERVICE_KEYS = {
  image: ['image'],
  volume: ['block_storage', 'volumev3', 'volumev2', 'volume'],
} as const;

/**
 * The cloud to work with, found and put together as openstacksdk does: `os_cloud`, else the OS_* variables, else the
 * only cloud of clouds.yaml; defaults < vendor profile < file and secure file < region values < flags.
 * Throws `cloud_missing` when there is none, `config_invalid` when it cannot be used.
 */
export function loadCloud(sources: CloudSources): CloudConfig {
  const { config } = sources.loaded;
  const files = readCloudFiles({
    env: sources.env,
    directory: sources.directory ?? process.cwd(),
    configFile: config.os_client_config_file,
    secureFile: config.os_client_secure_file,
  });
  const overrides = explicitSettings(sources.loaded);
  const chosen = chooseCloud(sources.loaded, sources.env, files, overrides);
  const warnings = [...files.warnings];
  const profiled = mergeSettings(profileOf(chosen, files, warnings), chosen.settings);
  const wantedRegion = textOf(overrides.region_name) ?? chosen.region;
  const settings = mergeSettings(withRegion(profiled, wantedRegion, chosen.name), overrides);
  return assemble(chosen, formatted(settings), overrides, warnings);
}

/** The os_ options that were given as flags or in cinderfs.conf, under openstacksdk's keys. */
function explicitSettings({ config, origins }: LoadedConfig): Settings {
  const names = optionEntries()
    .map(([name]) => name)
    .filter((name) => name.startsWith('os_') && name !== 'os_cloud' && !name.startsWith('os_client_'))
    .filter((name) => origins[name].kind === 'flag' || origins[name].kind === 'file');
  return Object.fromEntries(names.map((name) => [name.slice(3), config[name]]));
}

/** Vendor profiles come from clouds-public.yaml only: a daemon of root fetches no URL that a file names. */
function profileOf({ settings }: ChosenCloud, files: CloudFiles, warnings: string[]): Settings {
  const name = textOf(settings.profile) ?? textOf(settings.cloud);
  if (name === undefined) return {};
  const profile = files.profile(name);
  if (profile === undefined)
    warnings.push(`vendor profile '${name}' is not in any clouds-public.yaml; ignored`);
  return profile ?? {};
}

/** The settings with those of the wanted region, or of the first one listed, laid over. Only a list limits the choice. */
function withRegion(settings: Settings, wanted: string | undefined, cloud: string): Settings {
  const { regions, ...rest } = settings;
  const known = regionsOf(regions ?? rest.region_name);
  const found = wanted === undefined ? known[0] : known.find(({ name }) => name === wanted);
  if (found === undefined && (known.length > 1 || regions !== undefined)) {
    throw new CinderfsError(
      'config_invalid',
      `cloud '${cloud}' has no region '${wanted ?? ''}'; it has ${known.map(({ name }) => name).join(', ')}`,
    );
  }
  return mergeSettings(rest, { ...found?.values, region_name: found?.name ?? wanted });
}

/** `regions` is a list of names or of {name, values}; `region_name` may be a list, too, or separated by commas. */
function regionsOf(listed: unknown): { name: string; values: Settings }[] {
  const entries: readonly unknown[] = Array.isArray(listed) ? listed : (textOf(listed)?.split(',') ?? []);
  return entries.map((entry) =>
    isMapping(entry)
      ? { name: textOf(entry.name) ?? '', values: isMapping(entry.values) ? settingsOf(entry.values) : {} }
      : { name: textOf(entry)?.trim() ?? '', values: {} },
  );
}

const NEVER_FORMATTED = new Set(['password', 'application_credential_secret', 'passcode', 'token']);

/** Replaces `{key}` in texts by the setting of that name. What is no setting stays as it is. */
function formatted(settings: Settings): Settings {
  const fill = (key: string, value: unknown): unknown => {
    if (isMapping(value) && key === 'auth') return mapSettings(value, fill);
    if (typeof value !== 'string' || NEVER_FORMATTED.has(key)) return value;
    return value.replace(/\{(\w+)\}/g, (braces, name: string) =>
      NEVER_FORMATTED.has(name) ? braces : (textOf(settings[name]) ?? braces),
    );
  };
  return mapSettings(settings, fill);
}

function mapSettings(settings: Settings, change: (key: string, value: unknown) => unknown): Settings {
  return Object.fromEntries(Object.entries(settings).map(([key, value]) => [key, change(key, value)]));
}

function assemble(
  { name, source }: ChosenCloud,
  settings: Settings,
  overrides: Settings,
  warnings: string[],
): CloudConfig {
  const tls = tlsOf(settings);
  if (!tls.verify)
    warnings.push(
      `cloud '${name}' does not verify certificates: anyone on the path can read and change everything`,
    );
  const { authUrl, auth } = cloudAuth(settings, overrides, `cloud '${name}' (${source})`);
  return Object.freeze({
    name,
    source,
    authUrl,
    auth: Object.freeze(auth),
    image: serviceOf('image', settings),
    volume: serviceOf('volume', settings),
    tls: Object.freeze(tls),
    warnings: Object.freeze(warnings),
  });
}

function tlsOf(settings: Settings): TlsConfig {
  const insecure = flagOfSetting(settings.insecure) ?? false;
  return {
    verify: !insecure && (flagOfSetting(settings.verify) ?? true),
    cacert: textOf(settings.cacert),
    cert: textOf(settings.cert),
    key: textOf(settings.key),
  };
}

function serviceOf(service: keyof typeof SERVICE_KEYS, settings: Settings): ServiceConfig {
  const find = (setting: string): unknown =>
    SERVICE_KEYS[service].map((key) => settings[`${key}_${setting}`]).find((value) => value !== undefined);
  const interfaces =
    find('interface') ?? find('endpoint_type') ?? settings.interface ?? settings.endpoint_type;
  return Object.freeze({
    endpointOverride: textOf(find('endpoint_override')),
    region: textOf(find('region_name')) ?? textOf(settings.region_name),
    interfaces: Object.freeze(interfacesOf(interfaces ?? 'public')),
    serviceName: textOf(find('service_name')),
  });
}

/** `internal`, the older `internalURL`, or a list of them in order of preference. */
function interfacesOf(value: unknown): Interface[] {
  return (Array.isArray(value) ? value : [value]).map((item: unknown) => {
    const word = textOf(item)?.replace(/URL$/, '');
    if (word === 'public' || word === 'internal' || word === 'admin') return word;
    throw new CinderfsError(
      'config_invalid',
      `interface '${String(textOf(item))}' must be public, internal or admin`,
    );
  });
}
