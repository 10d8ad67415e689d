/** Snapshots: list, show, create, delete. Of a volume that is a file they are files, as Cinder's NFS driver makes them. */

import { randomUUID } from 'node:crypto';

import { findVolume } from './cinder-attachments.js';
import type { CinderCall } from './cinder-call.js';
import { filtersOf, pageOf, seesProject } from './cinder-page.js';
import { cinderTime } from './cinder-view.js';
import { pick, pickText, textsOf } from './json.js';
import type { Snapshot, Volume } from './model.js';
import type { Route } from './router.js';
import { ApiError, type Reply } from './service.js';
import { addOverlay, mergeOverlay } from './volume-overlay.js';

export const snapshotRoutes: Route<CinderCall>[] = [
  { method: 'GET', template: '/snapshots', run: (call) => list(call, 'snapshots') },
  { method: 'GET', template: '/snapshots/detail', run: (call) => list(call, 'snapshots/detail') },
  { method: 'POST', template: '/snapshots', run: create },
  { method: 'GET', template: '/snapshots/{id}', run: show },
  { method: 'DELETE', template: '/snapshots/{id}', run: remove },
];

/** From here on a volume in use may have snapshots without `force`. */
const IN_USE = 66;

function list(call: CinderCall, collection: string): Reply {
  const filters = filtersOf(call, ['name', 'status', 'volume_id', 'metadata']);
  const is = ({ name, status, volumeId }: Snapshot): boolean =>
    [...filters].every(([key, wanted]) => ({ name, status, volume_id: volumeId })[key] === wanted);
  const matching = [...call.cloud.snapshots.values()].filter(
    (snapshot) => seesProject(call, snapshot.projectId) && is(snapshot),
  );
  const page = pageOf(call, collection, matching, notFound);
  const links = page.next === undefined ? {} : { snapshots_links: [{ rel: 'next', href: page.next }] };
  return { status: 200, json: { snapshots: page.items.map(detail), ...links } };
}

function show(call: CinderCall, { id = '' }: Record<string, string>): Reply {
  return { status: 200, json: { snapshot: detail(findSnapshot(call, id)) } };
}

async function create(call: CinderCall): Promise<Reply> {
  const asked = pick(call.body, 'snapshot');
  const volume = findVolume(call, pickText(asked, 'volume_id') ?? '');
  const mayBeInUse = call.minor >= IN_USE || pick(asked, 'force') === true;
  if (volume.status !== 'available' && !(mayBeInUse && volume.status === 'in-use'))
    throw new ApiError(
      400,
      `Invalid volume: Volume ${volume.id} status must be available, but current status is: ${volume.status}.`,
    );
  const stamp = call.cloud.stamp();
  const snapshot: Snapshot = {
    id: randomUUID(),
    volumeId: volume.id,
    name: pickText(asked, 'name') ?? null,
    status: 'creating',
    sizeGib: volume.sizeGib,
    projectId: call.projectId,
    metadata: textsOf(pick(asked, 'metadata')),
    createdAt: stamp,
  };
  call.cloud.snapshots.set(snapshot.id, snapshot);
  const json = { snapshot: detail(snapshot) }; // still "creating": a client has to poll
  snapshot.status = await made(volume, snapshot);
  call.cloud.touch();
  return { status: 202, json };
}

/** Of a file that is attached Nova makes them, for its server. There is none: Cinder asks all the same, and fails. */
async function made(volume: Volume, { id }: Snapshot): Promise<Snapshot['status']> {
  if (volume.format === undefined) return 'available';
  if (volume.status === 'in-use') return 'error';
  await addOverlay(volume, id);
  volume.active = id;
  return 'available';
}

async function remove(call: CinderCall, { id = '' }: Record<string, string>): Promise<Reply> {
  const snapshot = findSnapshot(call, id);
  const volume = call.cloud.volumes.get(snapshot.volumeId);
  if (volume?.format !== undefined && snapshot.status !== 'error') {
    if (volume.status === 'in-use') snapshot.status = 'error_deleting';
    else volume.active = await mergeOverlay(volume, id, othersOf(call, snapshot));
  }
  if (snapshot.status !== 'error_deleting') call.cloud.snapshots.delete(id);
  call.cloud.touch();
  return { status: 202 };
}

/** Those of the same volume that have files, oldest first. */
function othersOf(call: CinderCall, { id, volumeId }: Snapshot): readonly string[] {
  return [...call.cloud.snapshots.values()]
    .filter((other) => other.volumeId === volumeId && other.id !== id && other.status !== 'error')
    .map((other) => other.id);
}

function findSnapshot(call: CinderCall, id: string): Snapshot {
  const snapshot = call.cloud.snapshots.get(id);
  if (snapshot === undefined || !(call.caller.isAdmin || snapshot.projectId === call.projectId))
    throw new ApiError(404, notFound(id));
  return snapshot;
}

const notFound = (id: string): string => `Snapshot ${id} could not be found.`;

function detail(snapshot: Snapshot): object {
  return {
    id: snapshot.id,
    created_at: cinderTime(snapshot.createdAt),
    updated_at: null,
    name: snapshot.name,
    description: null,
    volume_id: snapshot.volumeId,
    status: snapshot.status,
    size: snapshot.sizeGib,
    metadata: snapshot.metadata,
    'os-extended-snapshot-attributes:progress': snapshot.status === 'available' ? '100%' : '0%',
    'os-extended-snapshot-attributes:project_id': snapshot.projectId,
  };
}
