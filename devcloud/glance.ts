/** Image API v2: what every operation has in common, and the operations on one image. */

import { findImage, list, type GlanceCall, type GlanceDeps } from './glance-images.js';
import { download } from './glance-data.js';
import { imageView } from './glance-view.js';
import { VOLUME_TYPES } from './image-spec.js';
import { findRoute, type Route } from './router.js';
import { ApiError, type Call, type Reply, type Service } from './service.js';
import { callerOf } from './tokens.js';

const UNAUTHORIZED =
  'This server could not verify that you are authorized to access the document you requested. Either you supplied the wrong credentials (e.g., bad password), or your browser does not understand how to supply the credentials required.';

const REASONS: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

const routes: Route<GlanceCall>[] = [
  { method: 'GET', template: '/v2/images', run: list },
  { method: 'GET', template: '/v2/images/{id}', run: show },
  { method: 'DELETE', template: '/v2/images/{id}', run: remove },
  { method: 'GET', template: '/v2/images/{id}/file', run: download },
  { method: 'GET', template: '/v2/images/{id}/locations', run: locations },
  { method: 'POST', template: '/v2/images/{id}/actions/deactivate', run: deactivate },
  { method: 'POST', template: '/v2/images/{id}/actions/reactivate', run: reactivate },
  { method: 'GET', template: '/v2/info/stores', run: (call) => stores(call, false) },
  { method: 'GET', template: '/v2/info/stores/detail', run: (call) => stores(call, true) },
];

export function glance(deps: GlanceDeps): Service {
  return {
    name: 'glance',
    prefix: '/image',
    resourceOf: (path) => path.replace(/^\/v2(?=\/|$)/, '') || '/',
    refuse,
    async handle(call) {
      if (call.path === '/' || call.path === '/versions') return versions(call);
      const caller = callerOf(deps.tokens, call);
      if (caller === undefined) return refuse(call, new ApiError(401, UNAUTHORIZED));
      try {
        const match = findRoute(routes, call.method, call.path);
        if (match === undefined) throw new ApiError(404, 'The resource could not be found.');
        return dress(call, await match.route.run({ ...call, ...deps, caller }, match.params));
      } catch (error) {
        if (error instanceof ApiError) return refuse(call, error);
        throw error;
      }
    },
  };
}

/** Glance quotes its errors as HTML. A 401 comes from keystonemiddleware and carries no request id. */
function refuse(call: Call, error: ApiError): Reply {
  const title = REASONS[error.status] ?? 'Error';
  const message = error.status === 401 ? UNAUTHORIZED : error.message;
  const json = { message: `${message}<br /><br />\n\n\n`, code: `${error.status} ${title}`, title };
  if (error.status !== 401) return dress(call, { status: error.status, json });
  const uri = call.baseUrl.replace(/\/image$/, '/identity');
  return { status: 401, headers: { 'WWW-Authenticate': `Keystone uri="${uri}"` }, json };
}

function dress(call: Call, reply: Reply): Reply {
  return { ...reply, headers: { ...reply.headers, 'X-Openstack-Request-Id': call.requestId } };
}

function versions(call: Call): Reply {
  const links = [{ rel: 'self', href: `${call.baseUrl}/v2/` }];
  const minors = Array.from({ length: 17 }, (_, index) => 16 - index);
  const list = minors.map((minor) => ({
    id: `v2.${minor}`,
    status: minor === 16 ? 'CURRENT' : 'SUPPORTED',
    links,
  }));
  return { status: call.path === '/' ? 300 : 200, json: { versions: list } };
}

function show(call: GlanceCall, { id = '' }: Record<string, string>): Reply {
  return { status: 200, json: imageView(findImage(call, id), call.showLocations) };
}

async function remove(call: GlanceCall, { id = '' }: Record<string, string>): Promise<Reply> {
  const image = findOwnImage(call, id, 'delete_image');
  if (image.protected) throw new ApiError(403, `Image ${id} is protected and cannot be deleted.`);
  const isHeld = call.cloud.attachmentsOf(image.volumeId ?? '').length > 0;
  // Cinder refuses to delete the volume, Glance does not expect that: 500, and the image stays.
  // Neither Glance nor Cinder writes anything then: no other host can know that it was tried.
  if (isHeld && !call.delayedDelete) {
    throw new ApiError(
      500,
      'The server has either erred or is incapable of performing the requested operation.',
    );
  }
  await call.shelf.remove(image);
  return { status: 204 };
}

function locations(call: GlanceCall, { id = '' }: Record<string, string>): Reply {
  if (!call.locationsApi) throw new ApiError(404, 'The resource could not be found.');
  const image = findImage(call, id);
  if (!call.caller.hasServiceRole && !call.caller.isAdmin) {
    throw new ApiError(403, 'You are not authorized to complete get_locations action.');
  }
  return { status: 200, json: image.locations };
}

function deactivate(call: GlanceCall, { id = '' }: Record<string, string>): Reply {
  return setStatus(call, id, 'deactivate', 'deactivated');
}

function reactivate(call: GlanceCall, { id = '' }: Record<string, string>): Reply {
  return setStatus(call, id, 'reactivate', 'active');
}

function setStatus(call: GlanceCall, id: string, verb: string, status: 'active' | 'deactivated'): Reply {
  const image = findOwnImage(call, id, `${verb}_image`);
  if (image.status !== 'active' && image.status !== 'deactivated') {
    throw new ApiError(403, `Not allowed to ${verb} image in status '${image.status}'`);
  }
  if (image.status !== status) {
    image.status = status;
    image.updatedAt = call.cloud.stamp();
    call.cloud.touch();
  }
  return { status: 204 };
}

/** An image the caller may change: their project's, or any for an admin. */
function findOwnImage(call: GlanceCall, id: string, policy: string): ReturnType<typeof findImage> {
  const image = findImage(call, id);
  if (call.caller.isAdmin || image.owner === call.caller.token.project?.id) return image;
  throw new ApiError(403, `You are not authorized to complete ${policy} action.`);
}

function stores(call: GlanceCall, isDetailed: boolean): Reply {
  if (isDetailed && !call.caller.isAdmin && !call.caller.hasServiceRole) {
    throw new ApiError(403, 'You are not authorized to complete stores_info_detail action.');
  }
  const detail = (fields: object): object => (isDetailed ? fields : {});
  const list: object[] = [
    {
      id: 'file',
      description: 'files in a directory',
      ...detail({
        type: 'file',
        properties: { data_dir: '/var/lib/glance/images', chunk_size: 65536, thin_provisioning: false },
      }),
    },
    ...Object.entries(VOLUME_TYPES).map(([volumeType, { store }]) => ({
      id: store,
      description: `images in Cinder volumes of type ${volumeType}`,
      ...(store === 'cinder' ? { default: 'true' } : {}),
      ...detail({ type: 'cinder', properties: { volume_type: volumeType, use_multipath: false } }),
    })),
  ];
  return { status: 200, json: { stores: list } };
}
