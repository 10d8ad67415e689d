/** Volumes: list, show, create (also as a clone), delete; volume types. */

import { randomUUID } from 'node:crypto';

import type { CinderCall } from './cinder-call.js';
import { findVolume } from './cinder-attachments.js';
import { filtersOf, pageOf, seesProject } from './cinder-page.js';
import { volumeDetail, volumeSummary } from './cinder-view.js';
import { cloneVolume } from './clone.js';
import { VOLUME_TYPES } from './image-spec.js';
import { uuidOf } from './ids.js';
import { isObject, pick, pickText, textsOf } from './json.js';
import type { Volume } from './model.js';
import type { Route } from './router.js';
import { ApiError, type Reply } from './service.js';
import type { VolumeStatus } from './volume-state.js';

type View = (call: CinderCall, volume: Volume) => object;

export const volumeRoutes: Route<CinderCall>[] = [
  { method: 'GET', template: '/volumes', run: (call) => list(call, 'volumes', volumeSummary) },
  // The `next` link of a detailed listing names the detailed listing, as recorded.
  { method: 'GET', template: '/volumes/detail', run: (call) => list(call, 'volumes/detail', volumeDetail) },
  { method: 'POST', template: '/volumes', run: create },
  { method: 'GET', template: '/volumes/{id}', run: show },
  { method: 'DELETE', template: '/volumes/{id}', run: remove },
  { method: 'GET', template: '/types', run: types },
];

const FILTERS = ['name', 'status', 'metadata', 'bootable', 'migration_status', 'availability_zone', 'size'];

async function list(call: CinderCall, collection: string, view: View): Promise<Reply> {
  await call.shelf.scan(); // a new file is an image and a volume at the same moment
  const filters = filtersOf(call, FILTERS);
  const matching = [...call.cloud.volumes.values()].filter(
    (volume) => seesProject(call, volume.projectId) && isLike(volume, filters),
  );
  const page = pageOf(call, collection, matching, (marker) => `Volume ${marker} could not be found.`);
  const links = page.next === undefined ? {} : { volumes_links: [{ rel: 'next', href: page.next }] };
  const wantsCount = call.minor >= 45 && call.query.get('with_count')?.toLowerCase() === 'true';
  const count = wantsCount ? { count: page.total } : {};
  const json = { volumes: page.items.map((volume) => view(call, volume)), ...links, ...count };
  return { status: 200, json };
}

function isLike(volume: Volume, filters: Map<string, string>): boolean {
  const plain: Record<string, string | null> = {
    name: volume.name,
    status: volume.status,
    bootable: String(volume.bootable),
    availability_zone: 'nova',
    migration_status: null,
    size: String(volume.sizeGib),
  };
  return [...filters].every(([name, wanted]) =>
    name === 'metadata' ? hasMetadata(volume, wanted) : plain[name] === wanted,
  );
}

/** The filter is a Python dict literal; Cinder's clients send one, JSON passes for one. */
function hasMetadata(volume: Volume, literal: string): boolean {
  let wanted: unknown;
  try {
    wanted = JSON.parse(literal.replaceAll("'", '"'));
  } catch {
    return false;
  }
  if (!isObject(wanted)) return false;
  return Object.entries(wanted).every(([key, value]) => volume.metadata[key] === value);
}

function show(call: CinderCall, { id = '' }: Record<string, string>): Reply {
  return { status: 200, json: { volume: volumeDetail(call, findVolume(call, id)) } };
}

async function create(call: CinderCall): Promise<Reply> {
  const asked = pick(call.body, 'volume');
  if (!isObject(asked)) throw new ApiError(400, 'Invalid input for field/attribute volume.');
  const sourceId = pickText(asked, 'source_volid');
  const source = sourceId === undefined ? undefined : findVolume(call, sourceId);
  const typeName = typeOf(pickText(asked, 'volume_type'), source);
  const id = randomUUID();
  const stamp = call.cloud.stamp();
  const volume: Volume = {
    id,
    name: pickText(asked, 'name') ?? null,
    status: 'creating',
    sizeGib: sizeOf(asked.size, source),
    typeName,
    multiattach: VOLUME_TYPES[typeName].multiattach,
    projectId: call.projectId,
    userId: call.caller.token.user.id,
    metadata: textsOf(asked.metadata),
    readonly: undefined,
    sourceVolid: source?.id ?? null,
    bootable: false,
    path: call.shelf.pathOf(id),
    createdAt: stamp,
    updatedAt: stamp,
  };
  call.cloud.volumes.set(id, volume);
  call.cloud.touch();
  const json = { volume: volumeDetail(call, volume) }; // still "creating": a client has to poll
  await cloneVolume(call.cloud, source, volume);
  return { status: 202, json };
}

function typeOf(name: string | undefined, source: Volume | undefined): keyof typeof VOLUME_TYPES {
  const wanted = name ?? source?.typeName ?? 'local';
  const types = Object.keys(VOLUME_TYPES) as (keyof typeof VOLUME_TYPES)[];
  const found = types.find((type) => type === wanted || uuidOf('volume-type', type) === wanted);
  if (found === undefined) {
    throw new ApiError(404, `Volume type with name ${wanted} could not be found.`);
  }
  return found;
}

function sizeOf(asked: unknown, source: Volume | undefined): number {
  const size = asked === undefined || asked === null ? source?.sizeGib : Number(asked);
  if (size === undefined || !Number.isInteger(size) || size <= 0) {
    const text = `Volume size '${String(asked)}' must be an integer and greater than 0`;
    throw new ApiError(400, `Invalid input received: ${text}`);
  }
  if (source !== undefined && size < source.sizeGib) {
    const text = `Volume size '${size}'GB cannot be smaller than original volume size  ${source.sizeGib}GB. They must be >= original volume size.`;
    throw new ApiError(400, `Invalid input received: ${text}`);
  }
  if (source !== undefined && source.status !== 'available' && source.status !== 'in-use') {
    const text = `Originating source volume status must be one of 'available, in-use' values`;
    throw new ApiError(400, `Invalid volume: ${text}`);
  }
  return size;
}

const DELETABLE: readonly VolumeStatus[] = ['available', 'error', 'error_deleting'];

async function remove(call: CinderCall, { id = '' }: Record<string, string>): Promise<Reply> {
  const volume = findVolume(call, id);
  const hasSnapshots = [...call.cloud.snapshots.values()].some(({ volumeId }) => volumeId === id);
  if (!DELETABLE.includes(volume.status) || call.cloud.attachmentsOf(id).length > 0 || hasSnapshots) {
    throw new ApiError(
      400,
      'Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing and must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated from snapshots after volume transfer.',
    );
  }
  await call.shelf.removeVolume(volume);
  return { status: 202 };
}

function types(): Reply {
  const volume_types = Object.entries(VOLUME_TYPES).map(([name, { store, multiattach }]) => ({
    id: uuidOf('volume-type', name),
    name,
    is_public: true,
    description: null,
    extra_specs: {
      'image_service:store_id': store,
      volume_backend_name: 'local',
      ...(multiattach ? { multiattach: '<is> True' } : {}),
    },
    qos_specs_id: null,
    'os-volume-type-access:is_public': true,
  }));
  return { status: 200, json: { volume_types } };
}
