import { CinderfsError } from '../errors.js';
import { chooseCloud, type ChosenCloud } from './cloud-choice.js';
import { cloudAuth } from './cloud-auth.js';
import type { CloudConfig, Interface, ServiceConfig } from './cloud-config.js';
import { readCloudFiles, type CloudFiles } from './cloud-files.js';
import { regionOf } from './cloud-region.js';
import { tlsOf } from './cloud-tls.js';
import type { LoadedConfig } from './load.js';
import { optionEntries } from './options.js';
import { fillIn, type Fill } from './placeholders.js';
import { proxiesOf } from './proxies.js';
import { mergeSettings, textOf, type Settings } from './settings.js';

export interface CloudSources {
  readonly loaded: LoadedConfig;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where clouds.yaml is looked for first (not by root), and where relative paths start; the working directory when absent. */
  readonly directory?: string;
  /** The uid that reads the files; this process's own user when absent. */
  readonly uid?: number;
}

/** The names under which openstacksdk looks for settings of a service, in its order. */
const SERVICE_KEYS = {
  image: ['image'],
  volume: ['block_storage', 'volumev3', 'volumev2', 'volume', 'block_store'],
} as const;

/**
 * The cloud to work with, found and put together as openstacksdk does: `os_cloud`, else the OS_* variables, else the
 * only cloud of clouds.yaml; defaults < vendor profile < file and secure file < region values < flags. Where the two
 * differ: docs/openstack-settings.md. Throws `cloud_missing` when there is none, `config_invalid` when it cannot be used.
 */
export function loadCloud(sources: CloudSources): CloudConfig {
  const { config } = sources.loaded;
  const directory = sources.directory ?? process.cwd();
  const uid = sources.uid ?? process.getuid?.();
  const files = readCloudFiles({
    env: sources.env,
    directory,
    configFile: config.os_client_config_file,
    secureFile: config.os_client_secure_file,
    uid,
  });
  const overrides = explicitSettings(sources.loaded);
  const chosen = chooseCloud(sources.loaded, sources.env, files, overrides);
  const warnings = [...files.warnings];
  const profile = profileOf(chosen, files, warnings);
  const wanted = textOf(overrides.region_name) ?? chosen.region;
  // A flag replaces a variable; from what a file lists it chooses.
  const replaced = chosen.source === 'environment' && wanted !== undefined ? { region_name: wanted } : {};
  const region = regionOf({ ...chosen, settings: { ...chosen.settings, ...replaced }, profile }, wanted);
  const settings = [chosen.settings, region.values, { region_name: region.name }, overrides].reduce(
    mergeSettings,
    profile,
  );
  return assemble({ ...sources, directory, ...(uid === undefined ? {} : { uid }) }, chosen, {
    settings: renamed(settings),
    overrides,
    warnings,
  });
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

/** `endpoint_type` is the older name of `interface`, alone (where it wins) and after the name of a service. */
function renamed(settings: Settings): Settings {
  const { endpoint_type: older, ...rest } = settings;
  const entries = Object.entries(older === undefined ? rest : { ...rest, interface: older });
  return Object.fromEntries(
    entries.map(([key, value]) => [key.replace(/_endpoint_type$/, '_interface'), value]),
  );
}

interface Parts {
  readonly settings: Settings;
  readonly overrides: Settings;
  readonly warnings: string[];
}

function assemble(
  { loaded, env, directory = '/', uid }: CloudSources,
  { name, source }: ChosenCloud,
  { settings, overrides, warnings }: Parts,
): CloudConfig {
  const where = `cloud '${name}' (${source})`;
  const fill = filler(settings, where);
  const setting = (key: string): string | undefined => fill(key, textOf(settings[key]));
  const fromVariables = source === 'environment' || loaded.origins.os_cacert.kind !== 'environment';
  const cacert = fromVariables ? undefined : loaded.config.os_cacert;
  const tls = tlsOf({ setting, cacert, env, directory, uid });
  const { authUrl, auth } = cloudAuth(settings, overrides, where, fill);
  if (!tls.verify) warnings.push(`cloud '${name}' does not verify certificates: ${OPEN}`);
  if (isPlain(authUrl)) warnings.push(`cloud '${name}' logs in over plain http (${authUrl}): ${OPEN}`);
  return Object.freeze({
    name,
    source,
    authUrl,
    auth: Object.freeze(auth),
    image: serviceOf('image', settings, fill),
    volume: serviceOf('volume', settings, fill),
    tls: Object.freeze(tls),
    proxies: proxiesOf(env),
    warnings: Object.freeze(warnings),
  });
}

const OPEN = 'every host on the network path can read and change everything, the password included';

/** True where the password leaves this host unprotected. */
function isPlain(authUrl: string): boolean {
  const { protocol, hostname } = new URL(authUrl);
  return protocol === 'http:' && !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

const NEVER_SHOWN = new Set(['password', 'application_credential_secret', 'passcode', 'token', 'auth']);

/** Replaces `{key}` by the setting of that name. */
function filler(settings: Settings, where: string): Fill {
  const valueOf = (name: string): string | undefined =>
    NEVER_SHOWN.has(name) || !Object.hasOwn(settings, name) ? undefined : textOf(settings[name]);
  return (key, text) => (text === undefined ? undefined : fillIn(text, valueOf, `${where}: ${key}`));
}

function serviceOf(service: keyof typeof SERVICE_KEYS, settings: Settings, fill: Fill): ServiceConfig {
  const find = (setting: string): unknown =>
    SERVICE_KEYS[service]
      .map((key) => settings[`${key}_${setting}`])
      .find((value) => value !== undefined && value !== null);
  const own = (setting: string): string | undefined => fill(`${service}_${setting}`, textOf(find(setting)));
  return Object.freeze({
    serviceType: own('service_type') ?? (service === 'image' ? 'image' : 'block-storage'),
    endpointOverride: own('endpoint_override') ?? own('endpoint'),
    region: own('region_name') ?? fill('region_name', textOf(settings.region_name)),
    interfaces: Object.freeze(interfacesOf(find('interface') ?? settings.interface ?? 'public')),
    serviceName: own('service_name'),
  });
}

/** `internal`, the older `internalURL`, or a list of them in order of preference. */
function interfacesOf(value: unknown): Interface[] {
  const items: unknown[] = Array.isArray(value) && value.length > 0 ? value : [value];
  return items.map((item) => {
    const word = (textOf(item) ?? 'public').replace(/URL$/, '');
    if (word === 'public' || word === 'internal' || word === 'admin') return word;
    throw new CinderfsError('config_invalid', `interface '${word}' must be public, internal or admin`);
  });
}
