import { CinderfsError } from '../errors.js';
import type { CloudConfig, DomainReference, Reference } from './cloud-config.js';
import { knownSecrets } from '../known-secrets.js';
import { Secret } from '../secret.js';
import { isMapping, textOf, type Settings } from './settings.js';

const PASSWORD_TYPES = ['password', 'v3password'];
const CREDENTIAL_TYPES = ['v3applicationcredential', 'application_credential'];

/** Everything that can stand in `auth`, with older names; the last one that is set wins. */
const AUTH_KEYS = {
  auth_url: ['auth_url'],
  username: ['user_name', 'username'],
  user_id: ['user_id'],
  password: ['password'],
  domain_id: ['domain_id'],
  domain_name: ['domain_name'],
  default_domain: ['default_domain_id', 'default_domain'],
  user_domain_id: ['user_domain_id'],
  user_domain_name: ['user_domain_name'],
  project_domain_id: ['project_domain_id'],
  project_domain_name: ['project_domain_name'],
  project_id: ['tenant_id', 'project_id'],
  project_name: ['tenant_name', 'project_name'],
  application_credential_id: ['application_credential_id'],
  application_credential_name: ['application_credential_name'],
  application_credential_secret: ['application_credential_secret'],
} as const;

type Auth = { readonly [K in keyof typeof AUTH_KEYS]: string | undefined };

/** Id and name of one thing: an override of one voids the other, which would otherwise win in Keystone. */
const RIVALS: Readonly<Partial<Record<keyof Auth, keyof Auth>>> = {
  user_id: 'username',
  username: 'user_id',
  project_id: 'project_name',
  project_name: 'project_id',
  user_domain_id: 'user_domain_name',
  user_domain_name: 'user_domain_id',
  project_domain_id: 'project_domain_name',
  project_domain_name: 'project_domain_id',
};

/** Keystone's address and how to log in there. `where` names the cloud in errors; `config_invalid` if anything lacks. */
export function cloudAuth(
  settings: Settings,
  overrides: Settings,
  where: string,
): Pick<CloudConfig, 'authUrl' | 'auth'> {
  const auth = collect(settings, overrides);
  for (const name of [auth.username, auth.project_name]) if (name !== undefined) knownSecrets.isPublic(name);
  const authUrl = required(auth.auth_url, 'auth_url', where);
  if (!/^https?:\/\/[^/]/.test(authUrl) || !URL.canParse(authUrl)) {
    throw new CinderfsError('config_invalid', `${where}: auth_url '${authUrl}' is not an http or https URL`);
  }
  const type = textOf(settings.auth_type) ?? textOf(settings.auth_plugin) ?? impliedType(auth);
  if (CREDENTIAL_TYPES.includes(type)) return { authUrl, auth: applicationCredential(auth, where) };
  if (PASSWORD_TYPES.includes(type)) return { authUrl, auth: passwordAuth(auth, where) };
  throw new CinderfsError(
    'config_invalid',
    `${where}: auth_type '${type}' is not supported; it must be one of ${[...PASSWORD_TYPES, 'v3applicationcredential'].join(', ')}`,
  );
}

function impliedType(auth: Auth): string {
  return auth.password === undefined && auth.application_credential_secret !== undefined
    ? 'v3applicationcredential'
    : 'password';
}

/** Settings outside `auth` win over those inside, because flags and variables end up there (openstacksdk story 2010784). */
function collect(settings: Settings, overrides: Settings): Auth {
  const inside = isMapping(settings.auth) ? settings.auth : {};
  const auth: Partial<Record<keyof Auth, string | undefined>> = {};
  for (const [key, names] of Object.entries(AUTH_KEYS) as [keyof Auth, readonly string[]][]) {
    const values = names.flatMap((name) => [textOf(inside[name]), textOf(settings[name])]);
    auth[key] = values.filter((value) => value !== undefined).at(-1);
  }
  for (const key of Object.keys(overrides) as (keyof Auth)[]) {
    const rival = RIVALS[key];
    if (rival !== undefined && overrides[rival] === undefined) auth[rival] = undefined;
  }
  return auth as Auth;
}

function passwordAuth(auth: Auth, where: string): CloudConfig['auth'] {
  const project = reference(auth.project_id, auth.project_name, domainOf(auth, 'project'));
  if (project === undefined) {
    throw new CinderfsError(
      'config_invalid',
      `${where}: project_name or project_id is missing; name the project that owns the image volumes`,
    );
  }
  return {
    method: 'password',
    user: userOf(auth, where),
    password: new Secret(required(auth.password, 'password', where)),
    project,
  };
}

function applicationCredential(auth: Auth, where: string): CloudConfig['auth'] {
  const secret = new Secret(
    required(auth.application_credential_secret, 'application_credential_secret', where),
  );
  if (auth.application_credential_id !== undefined) {
    return { method: 'application_credential', credential: { id: auth.application_credential_id }, secret };
  }
  const name = required(auth.application_credential_name, 'application_credential_id', where);
  return { method: 'application_credential', credential: { name, user: userOf(auth, where) }, secret };
}

function userOf(auth: Auth, where: string): Reference {
  const user = reference(auth.user_id, auth.username, domainOf(auth, 'user'));
  return user ?? { id: required(undefined, 'username or user_id', where) };
}

function reference(
  id: string | undefined,
  name: string | undefined,
  domain: DomainReference,
): Reference | undefined {
  if (id !== undefined) return { id };
  return name === undefined ? undefined : { name, domain };
}

/** The domain of the user or project: its own, the common one, else openstackclient's default. */
function domainOf(auth: Auth, owner: 'user' | 'project'): DomainReference {
  const id = auth[`${owner}_domain_id`];
  const name = auth[`${owner}_domain_name`];
  if (id !== undefined) return { id };
  if (name !== undefined) return { name };
  if (auth.domain_id !== undefined) return { id: auth.domain_id };
  if (auth.domain_name !== undefined) return { name: auth.domain_name };
  return { id: auth.default_domain ?? 'default' };
}

function required(value: string | undefined, key: string, where: string): string {
  if (value !== undefined) return value;
  throw new CinderfsError('config_invalid', `${where}: ${key} is missing`);
}
