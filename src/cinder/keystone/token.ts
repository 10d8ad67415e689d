import type {
  ApplicationCredentialAuth,
  DomainReference,
  PasswordAuth,
  Reference,
} from '../../config/cloud-config.js';
import { knownSecrets } from '../../known-secrets.js';
import { Secret } from '../../secret.js';
import { headerOf, type HttpAnswer } from '../http/exchange.js';
import { endpointsOf, type Endpoint } from './service-catalog.js';
import { isRecord, malformed, member, optionalDate, optionalText, requiredText } from '../http/wire.js';

/** What Keystone gave us: our identity, its expiry, and the service catalog. */
export interface Token {
  readonly id: Secret;
  /** Clock.now() when it ends, counted from when it was issued: the clocks of Keystone and this host may differ. */
  readonly endsAt: number;
  /** Clock.now() from which on a new one should be fetched. */
  readonly renewAt: number;
  readonly projectId: string;
  readonly projectName: string;
  readonly userName: string;
  readonly roles: ReadonlySet<string>;
  readonly endpoints: readonly Endpoint[];
}

/** How long before its end a token is renewed: long enough for the slowest call that starts with it. */
const RENEWAL_SLACK_MS = 300_000;

/** The token in Keystone's answer to a login that was sent at `sentAt` (Clock.now()). */
export function tokenOf(answer: HttpAnswer, sentAt: number): Token {
  const name = { what: "Keystone's answer to POST /auth/tokens", requestId: answer.requestId };
  const id = requiredText(headerOf(answer.headers, 'x-subject-token'), 'X-Subject-Token', name);
  const token = member(answer.body, 'token', name);
  const project = member(token, 'project', name);
  const lifetime = lifetimeOf(token);
  if (lifetime === undefined) throw malformed(name, 'has no lifetime of the token');
  const user = isRecord(token) && isRecord(token.user) ? token.user : {};
  // Where a test cloud's password is the name of its user, that is named all the same.
  for (const named of [user, project])
    if (isRecord(named) && typeof named.name === 'string') knownSecrets.isPublic(named.name);
  return {
    id: new Secret(id),
    endsAt: sentAt + lifetime,
    renewAt: sentAt + lifetime - Math.min(RENEWAL_SLACK_MS, lifetime / 4),
    projectId: requiredText(member(project, 'id', name), 'project.id', name),
    projectName: optionalText(isRecord(project) ? project.name : undefined) ?? '',
    userName: optionalText(user.name) ?? '',
    roles: rolesOf(token),
    endpoints: endpointsOf(isRecord(token) ? token.catalog : undefined),
  };
}

/** Where to log in. auth_url may name Keystone, its version 3 (or 2.0, which nothing has any more) or this very place. */
export function loginUrl(authUrl: string): string {
  const base = authUrl.replace(/\/+$/, '').replace(/\/v3\/auth\/tokens$/, '');
  return `${base.replace(/\/+$/, '').replace(/\/v(2\.0|3)$/, '')}/v3/auth/tokens`;
}

/** The body of POST /v3/auth/tokens. The only place where the secrets are revealed to JSON. */
export function loginBody(auth: PasswordAuth | ApplicationCredentialAuth): object {
  if (auth.method === 'application_credential') {
    const { credential } = auth;
    const user =
      'id' in credential ? credential : { name: credential.name, user: wireReference(credential.user) };
    const application_credential = { ...user, secret: auth.secret.reveal() };
    return { auth: { identity: { methods: ['application_credential'], application_credential } } };
  }
  const user = { ...wireReference(auth.user), password: auth.password.reveal() };
  return {
    auth: {
      identity: { methods: ['password'], password: { user } },
      scope: { project: wireReference(auth.project) },
    },
  };
}

function wireReference(reference: Reference): { id: string } | { name: string; domain: DomainReference } {
  return 'id' in reference ? { id: reference.id } : { name: reference.name, domain: reference.domain };
}

function lifetimeOf(token: unknown): number | undefined {
  if (!isRecord(token)) return undefined;
  const ends = optionalDate(token.expires_at)?.getTime();
  const issued = optionalDate(token.issued_at)?.getTime();
  return ends === undefined || issued === undefined || ends <= issued ? undefined : ends - issued;
}

function rolesOf(token: unknown): ReadonlySet<string> {
  const roles = isRecord(token) && Array.isArray(token.roles) ? (token.roles as unknown[]) : [];
  return new Set(roles.flatMap((role) => (isRecord(role) ? (optionalText(role.name) ?? []) : [])));
}
