/** Block Storage API v3: what every operation has in common (token, microversion, project, error dress). */

import { attachmentRoutes } from './cinder-attachments.js';
import type { CinderCall, CinderDeps } from './cinder-call.js';
import { snapshotRoutes } from './cinder-snapshots.js';
import { volumeActionRoutes } from './cinder-volume-actions.js';
import { volumeRoutes } from './cinder-volumes.js';
import { echoedVersion, MAX_MINOR, microversionOf } from './microversion.js';
import { findRoute, type Route } from './router.js';
import { ApiError, type Call, type Reply, type Service } from './service.js';
import { callerOf, type Caller } from './tokens.js';

const FAULT_NAMES: Record<number, string> = {
  400: 'badRequest',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'itemNotFound',
  405: 'badMethod',
  409: 'conflictingRequest',
  413: 'overLimit',
  429: 'overLimit',
  501: 'notImplemented',
  503: 'serviceUnavailable',
};

const NOT_FOUND = 'The resource could not be found.';

export function cinder(deps: CinderDeps): Service {
  const routes = [...attachmentRoutes, ...volumeRoutes, ...volumeActionRoutes, ...snapshotRoutes];
  return {
    name: 'cinder',
    prefix: '/volume',
    resourceOf: (path) => splitPath(path).resource,
    refuse,
    async handle(call) {
      try {
        if (call.path === '/') return { ...dress(call, versions(call)), status: 300 };
        const caller = callerOf(deps.tokens, call);
        if (caller === undefined) return unauthenticated(call);
        return dress(call, await run(routes, call, deps, caller));
      } catch (error) {
        if (error instanceof ApiError) return refuse(call, error);
        throw error;
      }
    },
  };
}

async function run(
  routes: readonly Route<CinderCall>[],
  call: Call,
  deps: CinderDeps,
  caller: Caller,
): Promise<Reply> {
  const minor = microversionOf(call);
  const { project: urlProject, resource } = splitPath(call.path);
  if (resource === '/') return versions(call);
  const match = findRoute(routes, call.method, resource);
  if (match === undefined || minor < (match.route.since ?? 0)) throw new ApiError(404, NOT_FOUND);
  const projectId = caller.token.project?.id;
  if (urlProject !== undefined && urlProject !== projectId) throw new ApiError(400, 'Malformed request url');
  if (projectId === undefined) throw new ApiError(403, 'Forbidden');
  return match.route.run({ ...call, ...deps, caller, projectId, urlProject, minor }, match.params);
}

/** `/v3/PROJECT/volumes` and `/v3/volumes` alike. A project id is hex, a collection's name is not. */
function splitPath(path: string): { project: string | undefined; resource: string } {
  const [, project, resource] = /^\/v3(?:\/([0-9a-f-]{32,36}))?(\/.*)?$/.exec(path) ?? [];
  return { project, resource: resource ?? (path.startsWith('/v3') ? '/' : path) };
}

function versions(call: Call): Reply {
  const links = [
    { rel: 'describedby', type: 'text/html', href: 'https://docs.openstack.org/' },
    { rel: 'self', href: `${call.baseUrl}/v3/` },
  ];
  const version = {
    id: 'v3.0',
    status: 'CURRENT',
    version: `3.${MAX_MINOR}`,
    min_version: '3.0',
    updated: '2022-08-31T00:00:00Z',
    links,
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.volume+json;version=3' }],
  };
  return { status: 200, json: { versions: [version] } };
}

function refuse(call: Call, error: ApiError): Reply {
  if (error.status === 401) return unauthenticated(call);
  const fault = FAULT_NAMES[error.status] ?? 'computeFault';
  const json = { [fault]: { code: error.status, message: error.message } };
  return dress(call, { status: error.status, json });
}

/** keystonemiddleware answers before Cinder does: no microversion, no compute request id. */
function unauthenticated(call: Call): Reply {
  const message = 'The request you have made requires authentication.';
  return {
    status: 401,
    headers: {
      'WWW-Authenticate': `Keystone uri="${call.baseUrl.replace(/\/volume$/, '/identity')}"`,
      'x-openstack-request-id': call.requestId,
    },
    json: { error: { code: 401, title: 'Unauthorized', message } },
  };
}

function dress(call: Call, reply: Reply): Reply {
  const version = echoedVersion(call);
  const versioned: Record<string, string> =
    version === undefined
      ? {}
      : { 'OpenStack-API-Version': `volume ${version}`, Vary: 'OpenStack-API-Version' };
  return {
    ...reply,
    headers: {
      ...reply.headers,
      ...versioned,
      'x-compute-request-id': call.requestId,
      'x-openstack-request-id': call.requestId,
    },
  };
}
