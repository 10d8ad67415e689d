import type { VolumeEndpoint } from './microversion.js';
import { allPages, nextLink, type Page, pageBytes } from '../http/paging.js';
import { isRecord, isUuid, member, optionalText, requiredList } from '../http/wire.js';
import type { CallOptions } from '../contract/calls.js';
import type { Snapshot } from '../contract/volumes.js';

/**
 * The snapshots of one volume, of all owners and in any state. Entries that cannot be understood, and those of
 * another volume, are left out.
 */
export async function snapshotsOf(
  endpoint: Pick<VolumeEndpoint, 'request' | 'isAdmin'>,
  volumeId: string,
  pageSize: number,
  options: CallOptions = {},
): Promise<readonly Snapshot[]> {
  const query = new URLSearchParams({ volume_id: volumeId, limit: String(pageSize) });
  // An admin may have made one in another project.
  if (await endpoint.isAdmin(options)) query.set('all_tenants', '1');
  const { items } = await allPages({
    what: "Cinder's list of snapshots",
    fetch: (marker) => page(endpoint, query, marker, pageBytes(pageSize), options),
    read: snapshotOf,
  });
  return items.filter((snapshot) => snapshot.volumeId === volumeId);
}

async function page(
  endpoint: Pick<VolumeEndpoint, 'request'>,
  filter: URLSearchParams,
  marker: string | undefined,
  maxBytes: number,
  options: CallOptions,
): Promise<Page> {
  const query = new URLSearchParams(filter);
  if (marker !== undefined) query.set('marker', marker);
  const path = `/snapshots/detail?${query.toString()}`;
  const answer = await endpoint.request({ ...options, method: 'GET', path, repeat: 'always', maxBytes });
  const name = { what: "Cinder's answer to GET /snapshots/detail", requestId: answer.requestId };
  return {
    entries: requiredList(member(answer.body, 'snapshots', name), 'snapshots', name),
    next: isRecord(answer.body) ? nextLink(answer.body.snapshots_links) : undefined,
    requestId: answer.requestId,
    bytes: answer.bytes,
  };
}

function snapshotOf(entry: unknown): Snapshot | undefined {
  if (!isRecord(entry) || !isUuid(entry.id) || !isUuid(entry.volume_id)) return undefined;
  return { id: entry.id, volumeId: entry.volume_id, status: optionalText(entry.status) ?? '' };
}
