/** `/_devcloud`: what no real cloud offers. Faults, the request log, and things an attacker or an admin would do. */

import { stat } from 'node:fs/promises';

import { reasonOf } from '../errors.js';
import type { Faults, FaultSpec } from './faults.js';
import type { ImageShelf } from './image-shelf.js';
import type { ImageSpec } from './image-spec.js';
import { isObject, pickText } from './json.js';
import type { Cloud, Image, ImageStatus } from './model.js';
import type { RequestLog } from './request-log.js';
import { findRoute, type Params, type Route } from './router.js';
import { ApiError, type Call, type Reply } from './service.js';
import type { StateFile } from './state-file.js';
import type { Tokens } from './tokens.js';
import { copySparse, overwrite } from './volume-file.js';

export interface AdminDeps {
  readonly cloud: Cloud;
  readonly tokens: Tokens;
  readonly faults: Faults;
  readonly shelf: ImageShelf;
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
  { method: 'POST', template: '/_devcloud/images/{image}/delete', run: deleteImage },
  { method: 'POST', template: '/_devcloud/images/{image}/replace', run: replaceImage },
  { method: 'POST', template: '/_devcloud/images/{image}/deactivate', run: setStatus('deactivated') },
  { method: 'POST', template: '/_devcloud/images/{image}/reactivate', run: setStatus('active') },
  { method: 'POST', template: '/_devcloud/attachments/{id}/detach', run: forceDetach },
  { method: 'POST', template: '/_devcloud/volumes/{id}/swap', run: swapBytes },
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
  const file = pickText(call.body, 'file');
  const spec: ImageSpec = isObject(call.body) ? call.body : {};
  const image = await call.shelf.add(spec, file === undefined ? {} : { file });
  return { status: 201, json: image };
}

/** Gone from Glance at once, attached or not; the volume goes with its last attachment. */
async function deleteImage(call: AdminCall, { image = '' }: Params): Promise<Reply> {
  await call.shelf.remove(findImage(call, image));
  return done;
}

/** The old image is deleted and a new one of the same name takes its place, with the bytes of `file`. */
async function replaceImage(call: AdminCall, { image = '' }: Params): Promise<Reply> {
  const old = findImage(call, image);
  await call.shelf.remove(old);
  const spec: ImageSpec = { name: old.name, diskFormat: old.diskFormat ?? 'raw' };
  const file = pickText(call.body, 'file');
  const given: ImageSpec = isObject(call.body) ? call.body : {};
  const made = await call.shelf.add({ ...spec, ...given }, file === undefined ? {} : { file });
  return { status: 201, json: made };
}

function setStatus(status: ImageStatus): Route<AdminCall>['run'] {
  return (call, { image = '' }) => {
    const found = findImage(call, image);
    found.status = status;
    found.updatedAt = call.cloud.stamp();
    call.cloud.touch();
    return done;
  };
}

/** As an admin's force-detach: the attachment is gone, whoever reads through it is not told. */
function forceDetach(call: AdminCall, { id = '' }: Params): Reply {
  const volume = call.cloud.volumes.get(call.cloud.attachments.get(id)?.volumeId ?? '');
  if (volume === undefined) throw new ApiError(404, `no attachment ${id}`);
  call.cloud.step(volume, { is: 'delete', id });
  return done;
}

/**
 * The LUN-reuse attack: the path of a volume serves other bytes. Body: `volume` (id) or `file` (path) to take them
 * from, and `inPlace`: true overwrites the file that readers have open, false (default) puts another in its place.
 */
async function swapBytes(call: AdminCall, { id = '' }: Params): Promise<Reply> {
  const volume = call.cloud.volumes.get(id);
  if (volume === undefined) throw new ApiError(404, `no volume ${id}`);
  const other = call.cloud.volumes.get(pickText(call.body, 'volume') ?? '');
  const source = other?.path ?? pickText(call.body, 'file');
  if (source === undefined) throw new TypeError('volume or file must say whose bytes to serve');
  const isInPlace = isObject(call.body) && call.body.inPlace === true;
  if (isInPlace) await overwrite(source, volume.path);
  else await copySparse(source, volume.path, (await stat(volume.path)).size);
  return done;
}

/** By id, or by name where the name is not an id. */
function findImage(call: AdminCall, wanted: string): Image {
  const living = [...call.cloud.images.values()].filter((image) => image.status !== 'deleted');
  const image = living.find(({ id, name }) => id === wanted || name === wanted);
  if (image === undefined) throw new ApiError(404, `no image ${wanted}`);
  return image;
}
