import type { Interface, ServiceConfig } from '../config/cloud-config.js';
import { CinderfsError } from '../errors.js';
import { isRecord, optionalText } from './wire.js';

/** One endpoint of Keystone's service catalog. */
export interface Endpoint {
  readonly serviceType: string;
  readonly serviceName: string;
  readonly interface: string;
  readonly region: string;
  readonly url: string;
}

export type ServiceName = 'image' | 'volume';

/** Service types in order of preference: the official one, then what deployments have called it. volumev2 is gone. */
const TYPES: Readonly<Record<ServiceName, readonly string[]>> = {
  image: ['image'],
  volume: ['block-storage', 'volumev3', 'volume', 'block-store'],
};

/** The endpoints of a token's catalog; entries that are not understood are left out. */
export function endpointsOf(catalog: unknown): readonly Endpoint[] {
  if (!Array.isArray(catalog)) return [];
  return catalog.filter(isRecord).flatMap((service) => {
    const endpoints: unknown[] = Array.isArray(service.endpoints) ? service.endpoints : [];
    return endpoints.filter(isRecord).flatMap((endpoint) => {
      const url = optionalText(endpoint.url);
      if (url === undefined || !URL.canParse(url)) return [];
      return {
        serviceType: optionalText(service.type) ?? '',
        serviceName: optionalText(service.name) ?? '',
        interface: (optionalText(endpoint.interface) ?? '').replace(/URL$/, ''),
        region: optionalText(endpoint.region_id) ?? optionalText(endpoint.region) ?? '',
        url,
      };
    });
  });
}

/** Where `service` is: its override, else the first endpoint that fits in the order types, interfaces, catalog. */
export function selectEndpoint(
  service: ServiceName,
  config: ServiceConfig,
  endpoints: readonly Endpoint[],
  projectId: string,
): string {
  if (config.endpointOverride !== undefined) return expand(config.endpointOverride, projectId);
  const fits = endpoints.filter(
    (endpoint) =>
      (config.region === undefined || endpoint.region === config.region) &&
      (config.serviceName === undefined || endpoint.serviceName === config.serviceName),
  );
  for (const type of TYPES[service]) {
    for (const wanted of config.interfaces) {
      const found = fits.find((endpoint) => endpoint.serviceType === type && endpoint.interface === wanted);
      if (found !== undefined) return found.url;
    }
  }
  throw missing(service, config, endpoints);
}

/** `%(project_id)s` and `$(tenant_id)s` in overrides, as keystoneauth fills them in. */
function expand(override: string, projectId: string): string {
  const url = override.replace(/[%$]\((?:project_id|tenant_id)\)s/g, projectId);
  if (URL.canParse(url) && /^https?:/.test(url)) return url;
  throw new CinderfsError('config_invalid', `endpoint override '${override}' is not an http or https URL`);
}

function missing(service: ServiceName, config: ServiceConfig, endpoints: readonly Endpoint[]): CinderfsError {
  const types = TYPES[service];
  const known = endpoints.filter(({ serviceType }) => types.includes(serviceType));
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
