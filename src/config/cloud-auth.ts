import { CinderfsError } from '../errors.js';
import type { CloudConfig, DomainReference, Reference } from './cloud-config.js';
import { knownSecrets } from '../known-secrets.js';
import { Secret } from '../secret.js';
import type { Fill } from './placeholders.js';
import { isMapping, textOf, type Settings } from './settings.js';

const PASSWORD_TYPES = ['password', 'v3password'];
const CREDENTIAL_TYPES = ['v3applicationcredential', 'application_credential'];

/** Everything that can stand in `auth`, with older names before the one that wins. */
const AUTH_KEYS = {
  auth_url: ['auth_url'],
  username: ['user_name', 'username'],
  user_id: ['user_id'],
  password: ['password'],
  domain_id: ['domain_id'],
  domain_name: ['domain_name'],
  default_domain: ['default_domain'],
  default_domain_id: ['default_domain_id'],
  default_domain_name: ['default_domain_name'],
  user_domain_id: ['user_domain_id'],
  user_domain_name: ['user_domain_name'],
  project_domain_id: ['project_domain_id'],
  project_domain_name: ['project_domain_name'],
  project_id: ['tenant_id', 'project_id'],
  project_name: ['tenant_name', 'project_name'],
  trust_id: ['trust_id'],
  application_credential_id: ['application_credential_id'],
  application_credential_name: ['application_credential_name'],
  application_credential_secret: ['application_credential_secret'],
} as const;

/** Of these what stands outside `auth` wins: openstackclient's flags end up there (openstacksdk story 2010784). */
const OUTSIDE_WINS = /^(project|tenant|domain|user_domain|project_domain)_/;

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
  fill: Fill,
): Pick<CloudConfig, 'authUrl' | 'auth'> {
  const auth = collect(settings, overrides, fill);
  for (const name of [auth.username, auth.project_name]) if (name !== undefined) knownSecrets.isPublic(name);
  const authUrl = required(auth.auth_url, 'auth_url', where);
  if (!/^https?:\/\/[^/]/.test(authUrl) || !URL.canParse(authUrl)) {
    throw new CinderfsError('config_invalid', `${where}: auth_url '${authUrl}' is not an http or https URL`);
  }
  if (/[{}]/.test(authUrl))
    throw new CinderfsError(
      'config_invalid',
      `${where}: auth_url '${authUrl}' has braces; {placeholders} are filled in only below auth`,
    );
  const type = textOf(settings.auth_type) ?? impliedType(auth);
  if (CREDENTIAL_TYPES.includes(type)) return { authUrl, auth: applicationCredential(auth, where) };
  if (PASSWORD_TYPES.includes(type)) {
    const known =
      type === 'password' ? auth : { ...auth, default_domain_id: undefined, default_domain_name: undefined };
    return { authUrl, auth: passwordAuth(known, where) };
  }
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

function collect(settings: Settings, overrides: Settings, fill: Fill): Auth {
  const inside = isMapping(settings.auth) ? settings.auth : {};
  const auth: Partial<Record<keyof Auth, string | undefined>> = {};
  for (const [key, names] of Object.entries(AUTH_KEYS) as [keyof Auth, readonly string[]][]) {
    const insideOf = (name: string): string | undefined =>
      name === 'auth_url' ? fill('auth_url', textOf(inside[name])) : textOf(inside[name]);
    const outsideOf = (name: string): string | undefined => textOf(settings[name]);
    const values = OUTSIDE_WINS.test(key)
      ? names.flatMap((name) => [insideOf(name), outsideOf(name)])
      : [...names.map(outsideOf), ...names.map(insideOf)];
    auth[key] = values.filter((value) => value !== undefined).at(-1);
  }
  spreadDomain(auth);
  return { ...(auth as Auth), ...explicit(overrides) };
}

/** The domain that is named once is that of the user and of the project, where there is a project. */
function spreadDomain(auth: Partial<Record<keyof Auth, string | undefined>>): void {
  if (auth.project_id === undefined && auth.project_name === undefined) return;
  for (const owner of ['user', 'project'] as const) {
    auth[`${owner}_domain_id`] ??= auth.domain_id;
    auth[`${owner}_domain_name`] ??= auth.domain_name;
  }
}

/** Flags win over everything, and void what would win over them in Keystone. */
function explicit(overrides: Settings): Partial<Auth> {
  const entries = (Object.keys(AUTH_KEYS) as (keyof Auth)[]).flatMap(
    (key): [keyof Auth, string | undefined][] => {
      const value = textOf(overrides[key]);
      if (value === undefined) return [];
      const rival = RIVALS[key];
      const voided = rival !== undefined && overrides[rival] === undefined;
      return voided
        ? [
            [key, value],
            [rival, undefined],
          ]
        : [[key, value]];
    },
  );
  return Object.fromEntries(entries);
}

function passwordAuth(auth: Auth, where: string): CloudConfig['auth'] {
  if (auth.trust_id !== undefined)
    throw new CinderfsError('config_invalid', `${where}: trust_id is not supported; name the project itself`);
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

/** The domain of the user or project: its own, the default one, the common one, else openstackclient's default. */
function domainOf(auth: Auth, owner: 'user' | 'project'): DomainReference {
  const id = auth[`${owner}_domain_id`] ?? auth.default_domain_id;
  if (id !== undefined) return { id };
  const name = auth[`${owner}_domain_name`] ?? auth.default_domain_name;
  if (name !== undefined) return { name };
  if (auth.domain_id !== undefined) return { id: auth.domain_id };
  if (auth.domain_name !== undefined) return { name: auth.domain_name };
  return { id: auth.default_domain ?? 'default' };
}

function required(value: string | undefined, key: string, where: string): string {
  if (value !== undefined) return value;
  throw new CinderfsError('config_invalid', `${where}: ${key} is missing`);
}
