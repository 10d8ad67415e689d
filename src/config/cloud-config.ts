import type { Secret } from '../secret.js';
import type { Proxies } from './proxies.js';

export type Interface = 'public' | 'internal' | 'admin';

/** A Keystone domain or, within one, a user or project: an id needs nothing else, a name needs its domain. */
export type DomainReference = { readonly id: string } | { readonly name: string };
export type Reference = { readonly id: string } | { readonly name: string; readonly domain: DomainReference };

export interface PasswordAuth {
  readonly method: 'password';
  readonly user: Reference;
  readonly password: Secret;
  readonly project: Reference;
}

/** An application credential is bound to its project: Keystone refuses a scope beside it. */
export interface ApplicationCredentialAuth {
  readonly method: 'application_credential';
  readonly credential: { readonly id: string } | { readonly name: string; readonly user: Reference };
  readonly secret: Secret;
}

/** Where a service is looked for in the service catalog. */
export interface ServiceConfig {
  /** The type to ask for: the official one, unless the cloud names another (`volume_service_type`). */
  readonly serviceType: string;
  readonly endpointOverride: string | undefined;
  readonly region: string | undefined;
  /** In order of preference; never empty. */
  readonly interfaces: readonly Interface[];
  readonly serviceName: string | undefined;
}

export interface TlsConfig {
  readonly verify: boolean;
  /** Absolute paths of PEM files; authorities may be a directory of them, and are the system's when undefined. */
  readonly cacert: string | undefined;
  /** More authorities, beside those: NODE_EXTRA_CA_CERTS. */
  readonly extra?: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** One cloud, ready to log in to. Deeply frozen; secrets show only through reveal(). */
export interface CloudConfig {
  readonly name: string;
  /** The file the cloud was found in, or "environment" or "options". */
  readonly source: string;
  readonly authUrl: string;
  readonly auth: PasswordAuth | ApplicationCredentialAuth;
  readonly image: ServiceConfig;
  readonly volume: ServiceConfig;
  readonly tls: TlsConfig;
  readonly proxies: Proxies;
  /** What an operator should know about how the settings were merged; the daemon logs it once. */
  readonly warnings: readonly string[];
}
