import type { Interface, ServiceConfig } from '../../config/cloud-config.js';
import { CinderfsError } from '../../errors.js';
import { isRecord, optionalText } from '../http/wire.js';

/** One endpoint of Keystone's service catalog. */
export interface Endpoint {
  readonly serviceType: string;
  readonly serviceName: string;
  readonly interface: string;
  readonly region: string;
  readonly url: string;
}

export type ServiceName = 'image' | 'volume';

/** The official type of each service and what deployments have called it, in os-service-types' order. */
const TYPES: readonly (readonly string[])[] = [
  ['image'],
  ['block-storage', 'volumev3', 'volumev2', 'volume', 'block-store'],
];

/** Characters of an endpoint's URL; servers take no longer ones. */
const MAX_URL = 4096;

/** The endpoints of a token's catalog; entries that are not understood are left out. */
export function endpointsOf(catalog: unknown): readonly Endpoint[] {
  if (!Array.isArray(catalog)) return [];
  return catalog.filter(isRecord).flatMap((service) => {
    const endpoints: unknown[] = Array.isArray(service.endpoints) ? service.endpoints : [];
    return endpoints.filter(isRecord).flatMap((endpoint) => {
      const url = optionalText(endpoint.url);
      if (url === undefined || url.length > MAX_URL || !URL.canParse(url)) return [];
      return {
        serviceType: optionalText(service.type) ?? '',
        serviceName: optionalText(service.name) ?? '',
        interface: optionalText(endpoint.interface) ?? '',
        region: optionalText(endpoint.region_id) ?? optionalText(endpoint.region) ?? '',
        url,
      };
    });
  });
}

/**
 * Where `service` is: its override, else the first endpoint that fits, in keystoneauth's order: the type asked for, then
 * its official name and aliases; within one type the interfaces; then the catalog.
 */
export function selectEndpoint(
  config: ServiceConfig,
  endpoints: readonly Endpoint[],
  projectId: string,
): string {
  if (config.endpointOverride !== undefined) return expand(config.endpointOverride, projectId);
  const fits = endpoints.filter(
    (endpoint) =>
      isOfType(config.serviceType, endpoint.serviceType) &&
      (config.region === undefined || endpoint.region === config.region) &&
      // A catalog without names says nothing about them.
      (config.serviceName === undefined || ['', config.serviceName].includes(endpoint.serviceName)),
  );
  const types = [config.serviceType, ...namesOf(config.serviceType), ...fits.map((fit) => fit.serviceType)];
  for (const type of types) {
    for (const wanted of config.interfaces) {
      const found = fits.find((endpoint) => endpoint.serviceType === type && endpoint.interface === wanted);
      if (found !== undefined) return found.url;
    }
  }
  throw missing(config, endpoints);
}

/** The official name matches its aliases and they match it, but no alias another one: they were other versions. */
function isOfType(wanted: string, found: string): boolean {
  if (wanted === found) return true;
  const name = found.replaceAll('_', '-');
  const [official, ...aliases] = namesOf(name);
  return wanted === official || (name === official && aliases.includes(wanted));
}

function namesOf(type: string): readonly string[] {
  return TYPES.find((names) => names.includes(type)) ?? [];
}

/** `%(project_id)s` and `$(tenant_id)s` in overrides, as keystoneauth fills them in. */
function expand(override: string, projectId: string): string {
  const url = override.replace(/[%$]\((?:project_id|tenant_id)\)s/g, projectId);
  if (URL.canParse(url) && /^https?:/.test(url) && !/[%$]\(/.test(url)) return url;
  throw new CinderfsError(
    'config_invalid',
    `endpoint override '${override}' is not an http or https URL that is known in full`,
  );
}

function missing(config: ServiceConfig, endpoints: readonly Endpoint[]): CinderfsError {
  const types = [...new Set([config.serviceType, ...namesOf(config.serviceType)])];
  const known = endpoints.filter(({ serviceType }) => isOfType(config.serviceType, serviceType));
  const there =
    known.length === 0
      ? `its services are ${list(endpoints.map(({ serviceType }) => serviceType))}`
      : `it has ${list(known.map((endpoint) => `${endpoint.interface} in ${endpoint.region}`))}`;
  const region = config.region === undefined ? '' : ` in region ${config.region}`;
  return new CinderfsError(
    'endpoint_missing',
    `the service catalog has no ${interfacesText(config.interfaces)} endpoint of type ${types.join(' or ')}${region}; ${there}`,
  );
}

function interfacesText(interfaces: readonly Interface[]): string {
  return interfaces.join(' or ');
}

function list(words: readonly string[]): string {
  const distinct = [...new Set(words)];
  return distinct.length === 0 ? 'none' : distinct.join(', ');
}
