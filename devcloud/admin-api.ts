/** `/_devcloud`: what no real cloud offers. Faults, the request log, and things an attacker or an admin would do. */

import { reasonOf } from '../src/errors.js';
import type { Faults, FaultSpec } from './faults.js';
import type { ImageBytes, ImageShelf } from './image-shelf.js';
import type { ImageSpec } from './image-spec.js';
import { isObject, pick, pickText } from './json.js';
import type { AdminFaults } from './admin-faults.js';
import type { Cloud } from './model.js';
import type { RequestLog } from './request-log.js';
import { findRoute, type Params, type Route } from './router.js';
import { ApiError, type Call, type Reply } from './service.js';
import type { StateFile } from './state-file.js';
import type { Tokens } from './tokens.js';

export interface AdminDeps {
  readonly cloud: Cloud;
  readonly tokens: Tokens;
  readonly faults: Faults;
  readonly shelf: ImageShelf;
  readonly adminFaults: AdminFaults;
  readonly log: RequestLog;
  readonly state: StateFile;
}

interface AdminCall extends Call, AdminDeps {}

const ok = (json: unknown): Reply => ({ status: 200, json });
const done: Reply = { status: 204 };

const routes: Route<AdminCall>[] = [
  { method: 'GET', template: '/_devcloud/faults', run: (call) => ok({ faults: call.faults.list() }) },
  { method: 'POST', template: '/_devcloud/faults', run: addFault },
  { method: 'DELETE', template: '/_devcloud/faults', run: clearFaults },
  { method: 'DELETE', template: '/_devcloud/faults/{id}', run: removeFault },
  { method: 'GET', template: '/_devcloud/requests', run: showRequests },
  { method: 'DELETE', template: '/_devcloud/requests', run: clearRequests },
  { method: 'DELETE', template: '/_devcloud/tokens', run: revokeTokens },
  { method: 'GET', template: '/_devcloud/state', run: showState },
  { method: 'POST', template: '/_devcloud/images', run: addImage },
  { method: 'POST', template: '/_devcloud/images/{image}/{verb}', run: changeImage },
  { method: 'POST', template: '/_devcloud/attachments/{id}/detach', run: detach },
  { method: 'POST', template: '/_devcloud/volumes/{id}/swap', run: swap },
];

/** The handler of everything below `/_devcloud`. Errors are `{error}` with 400, 404 or 500. */
export function adminApi(deps: AdminDeps): (call: Call) => Promise<Reply> {
  return async (call) => {
    const match = findRoute(routes, call.method, call.path);
    if (match === undefined) return { status: 404, json: { error: `no ${call.method} ${call.path}` } };
    try {
      return await match.route.run({ ...call, ...deps }, match.params);
    } catch (error) {
      const status = error instanceof ApiError ? error.status : error instanceof TypeError ? 400 : 500;
      return { status, json: { error: reasonOf(error) } };
    } finally {
      await deps.state.save();
    }
  };
}

function addFault(call: AdminCall): Reply {
  if (!isObject(call.body)) throw new TypeError('a fault is a JSON object');
  return { status: 201, json: call.faults.add(call.body as unknown as FaultSpec) };
}

function clearFaults(call: AdminCall): Reply {
  call.faults.clear();
  return done;
}

function clearRequests(call: AdminCall): Reply {
  call.log.clear();
  return done;
}

function revokeTokens(call: AdminCall): Reply {
  call.tokens.revokeAll();
  return done;
}

function removeFault(call: AdminCall, { id = '' }: Params): Reply {
  if (!call.faults.remove(id)) throw new ApiError(404, `no fault ${id}`);
  return done;
}

function showRequests(call: AdminCall): Reply {
  return ok({ requests: call.log.entries, counts: call.log.counts() });
}

function showState(call: AdminCall): Reply {
  const { images, volumes, attachments } = call.cloud;
  return ok({
    images: [...images.values()],
    volumes: [...volumes.values()],
    attachments: [...attachments.values()],
  });
}

/** Body: an ImageSpec, and `file`: a path on this host whose bytes it gets. */
async function addImage(call: AdminCall): Promise<Reply> {
  return { status: 201, json: await call.shelf.add(specIn(call), bytesIn(call)) };
}

async function changeImage(call: AdminCall, { image = '', verb }: Params): Promise<Reply> {
  switch (verb) {
    case 'delete':
      await call.adminFaults.deleteImage(image);
      return done;
    case 'replace':
      return { status: 201, json: await call.adminFaults.replaceImage(image, specIn(call), bytesIn(call)) };
    case 'deactivate':
    case 'reactivate':
      call.adminFaults.setImageStatus(image, verb === 'deactivate' ? 'deactivated' : 'active');
      return done;
    default:
      throw new ApiError(
        404,
        `an image can be deleted, replaced, deactivated, reactivated: not ${String(verb)}`,
      );
  }
}

async function detach(call: AdminCall, { id = '' }: Params): Promise<Reply> {
  await call.adminFaults.detach(id);
  return done;
}

/** Body: `volume` (id) or `file` (path) whose bytes to serve, and `inPlace`. */
async function swap(call: AdminCall, { id = '' }: Params): Promise<Reply> {
  const other = call.cloud.volumes.get(pickText(call.body, 'volume') ?? '');
  const source = other?.path ?? pickText(call.body, 'file');
  if (source === undefined) throw new TypeError('volume or file must say whose bytes to serve');
  await call.adminFaults.swapBytes(id, source, pick(call.body, 'inPlace') === true);
  return done;
}

const specIn = (call: AdminCall): ImageSpec => (isObject(call.body) ? call.body : {});

function bytesIn(call: AdminCall): ImageBytes {
  const file = pickText(call.body, 'file');
  return file === undefined ? {} : { file };
}
