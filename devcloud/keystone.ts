import {
  APPLICATION_CREDENTIAL,
  DOMAIN,
  projectBy,
  REGION,
  userBy,
  type Project,
  type RoleName,
  type User,
} from './identity.js';
import { hexIdOf } from './ids.js';
import { pick, pickText } from './json.js';
import { findRoute, type Route } from './router.js';
import { ApiError, header, type Call, type Reply, type Service } from './service.js';
import type { Grant, Token, Tokens } from './tokens.js';

const UNAUTHENTICATED = 'The request you have made requires authentication.';

/** Identity API v3: tokens and the catalog. `root` is where the cloud is reached, known once the server listens. */
export function keystone(tokens: Tokens, root: () => string): Service {
  const routes: Route<Call>[] = [
    { method: 'GET', template: '/', run: (call) => versions(call) },
    { method: 'GET', template: '/v3', run: (call) => ({ status: 200, json: { version: version(call) } }) },
    { method: 'POST', template: '/v3/auth/tokens', run: (call) => authenticate(tokens, root(), call) },
    { method: 'GET', template: '/v3/auth/tokens', run: (call) => validate(tokens, root(), call) },
    { method: 'HEAD', template: '/v3/auth/tokens', run: (call) => validate(tokens, root(), call) },
    { method: 'DELETE', template: '/v3/auth/tokens', run: (call) => revoke(tokens, call) },
    { method: 'GET', template: '/v3/auth/catalog', run: (call) => showCatalog(tokens, root(), call) },
  ];
  return {
    name: 'keystone',
    prefix: '/identity',
    resourceOf: (path) => path.replace(/^\/v3(?=\/|$)/, '') || '/',
    refuse,
    async handle(call) {
      const match = findRoute(routes, call.method, call.path);
      try {
        if (match === undefined) {
          throw new ApiError(404, `Could not find resource: ${call.path}.`);
        }
        return withHeaders(call, await match.route.run(call, match.params));
      } catch (error) {
        if (error instanceof ApiError) return refuse(call, error);
        throw error;
      }
    },
  };
}

function refuse(call: Call, error: ApiError): Reply {
  const headers: Record<string, string> =
    error.status === 401 ? { 'WWW-Authenticate': `Keystone uri="${call.baseUrl}/v3"` } : {};
  const json = { error: { code: error.status, message: error.message, title: titleOf(error.status) } };
  return withHeaders(call, { status: error.status, headers, json });
}

function withHeaders(call: Call, reply: Reply): Reply {
  return {
    ...reply,
    headers: { ...reply.headers, Vary: 'X-Auth-Token', 'x-openstack-request-id': call.requestId },
  };
}

function titleOf(status: number): string {
  const titles: Record<number, string> = { 400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden' };
  return titles[status] ?? (status === 404 ? 'Not Found' : 'Internal Server Error');
}

function version(call: Call): object {
  const type = 'application/vnd.openstack.identity-v3+json';
  return {
    id: 'v3.14',
    status: 'stable',
    updated: '2020-04-07T00:00:00Z',
    links: [{ rel: 'self', href: `${call.baseUrl}/v3/` }],
    'media-types': [{ base: 'application/json', type }],
  };
}

function versions(call: Call): Reply {
  const json = { versions: { values: [version(call)] } };
  return { status: 300, headers: { Location: `${call.baseUrl}/v3/` }, json };
}

function authenticate(tokens: Tokens, root: string, call: Call): Reply {
  const methods = pick(call.body, 'auth', 'identity', 'methods');
  if (!Array.isArray(methods) || methods.length === 0) {
    throw new ApiError(400, "Invalid input for field 'auth': 'identity' is a required property");
  }
  const grant = methods.includes('application_credential') ? byCredential(call.body) : byPassword(call.body);
  if (grant === undefined) throw new ApiError(401, UNAUTHENTICATED);
  const token = tokens.issue(grant);
  return {
    status: 201,
    headers: { 'X-Subject-Token': token.id },
    json: { token: tokenView(token, root) },
  };
}

function byPassword(body: unknown): Grant | undefined {
  const claim = pick(body, 'auth', 'identity', 'password', 'user');
  const user = inDefaultDomain(claim) ? userBy(namedOrId(claim)) : undefined;
  if (user === undefined || user.password !== pickText(claim, 'password')) return undefined;
  const scope = pick(body, 'auth', 'scope', 'project');
  const method = 'password' as const;
  if (scope === undefined) {
    return { method, user, project: undefined, roles: [], applicationCredential: undefined };
  }
  const project = inDefaultDomain(scope) ? projectBy(namedOrId(scope)) : undefined;
  const roles = project === undefined ? undefined : user.roles[project.name];
  return roles === undefined ? undefined : { method, user, project, roles, applicationCredential: undefined };
}

function byCredential(body: unknown): Grant | undefined {
  const known = APPLICATION_CREDENTIAL;
  const claim = pick(body, 'auth', 'identity', 'application_credential');
  const named =
    pickText(claim, 'name') === known.name && userBy(namedOrId(pick(claim, 'user')))?.id === known.user.id;
  const isKnown = pickText(claim, 'id') === known.id || named;
  // Keystone refuses a scope here: the credential has its own.
  const hasScope = pick(body, 'auth', 'scope') !== undefined;
  if (!isKnown || hasScope || pickText(claim, 'secret') !== known.secret) return undefined;
  return {
    method: 'application_credential',
    user: known.user,
    project: known.project,
    roles: known.roles,
    applicationCredential: known,
  };
}

/** Names need a domain, ids do not; there is one domain. */
function inDefaultDomain(claim: unknown): boolean {
  if (pickText(claim, 'id') !== undefined) return true;
  const domain = pick(claim, 'domain');
  const name = pickText(domain, 'name')?.toLowerCase();
  return pickText(domain, 'id') === DOMAIN.id || name === DOMAIN.name.toLowerCase();
}

function namedOrId(claim: unknown): { id?: string | undefined; name?: string | undefined } {
  const id = pickText(claim, 'id');
  return id === undefined ? { name: pickText(claim, 'name') } : { id };
}

function validate(tokens: Tokens, root: string, call: Call): Reply {
  requireToken(tokens, call);
  const subject = tokens.find(header(call, 'x-subject-token'));
  if (subject === undefined) throw new ApiError(404, 'Failed to validate token');
  return {
    status: 200,
    headers: { 'X-Subject-Token': subject.id },
    json: { token: tokenView(subject, root) },
  };
}

function revoke(tokens: Tokens, call: Call): Reply {
  requireToken(tokens, call);
  if (!tokens.revoke(header(call, 'x-subject-token'))) throw new ApiError(404, 'Failed to validate token');
  return { status: 204 };
}

function showCatalog(tokens: Tokens, root: string, call: Call): Reply {
  const token = requireToken(tokens, call);
  const json = { catalog: catalog(token.project, root), links: { self: `${call.baseUrl}/v3/auth/catalog` } };
  return { status: 200, json };
}

function requireToken(tokens: Tokens, call: Call): Token {
  const token = tokens.find(header(call, 'x-auth-token'));
  if (token === undefined) throw new ApiError(401, UNAUTHENTICATED);
  return token;
}

function tokenView(token: Token, root: string): object {
  const scope =
    token.project === undefined
      ? {}
      : {
          project: { domain: DOMAIN, id: token.project.id, name: token.project.name },
          is_domain: false,
          roles: token.roles.map(roleView),
          catalog: catalog(token.project, root),
        };
  const credential = token.applicationCredential;
  return {
    methods: [token.method],
    user: userView(token.user),
    audit_ids: [hexIdOf('audit', token.id).slice(0, 22)],
    expires_at: isoMicros(token.expiresAt),
    issued_at: isoMicros(token.issuedAt),
    ...scope,
    ...(credential === undefined
      ? {}
      : { application_credential: { id: credential.id, name: credential.name, restricted: true } }),
  };
}

const userView = (user: User): object => ({
  domain: DOMAIN,
  id: user.id,
  name: user.name,
  password_expires_at: null,
});

const roleView = (name: RoleName): object => ({ id: hexIdOf('role', name), name });

const isoMicros = (ms: number): string => new Date(ms).toISOString().replace(/\.(\d{3})Z$/, '.$1000Z');

/** Three services, three interfaces each, one region. */
function catalog(project: Project | undefined, root: string): object[] {
  if (project === undefined) return [];
  return [
    entry('image', 'glance', `${root}/image`),
    entry('identity', 'keystone', `${root}/identity/v3`),
    entry('volumev3', 'cinderv3', `${root}/volume/v3/${project.id}`),
  ];
}

function entry(type: string, name: string, url: string): object {
  const endpoints = ['internal', 'admin', 'public'].map((of) => ({
    id: hexIdOf('endpoint', type, of),
    interface: of,
    region_id: REGION,
    url,
    region: REGION,
  }));
  return { endpoints, id: hexIdOf('service', type), type, name };
}
