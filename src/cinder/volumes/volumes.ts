import type { VolumeEndpoint } from './microversion.js';
import { allPages, nextLink, type Page, pageBytes } from '../http/paging.js';
import type { CallOptions, ListOptions } from '../contract/calls.js';
import type { Snapshot, Volume, VolumeAttachment, Volumes } from '../contract/volumes.js';
import { snapshotsOf } from './snapshots.js';
import {
  isRecord,
  isUuid,
  malformed,
  member,
  optionalSize,
  optionalText,
  requiredList,
} from '../http/wire.js';

/** More volumes than one that say they hold the same image are leftovers; a few are looked at. */
const CLAIMS = 16;

type Endpoint = Pick<VolumeEndpoint, 'request' | 'projectId' | 'isAdmin'>;

export class VolumesClient implements Volumes {
  readonly #endpoint: Endpoint;
  readonly #pageSize: number;

  constructor(endpoint: Endpoint, pageSize: number) {
    this.#endpoint = endpoint;
    this.#pageSize = pageSize;
  }

  /** One volume. Throws `not_found` also for a volume of a project that we may not see. */
  async show(volumeId: string, options: CallOptions = {}): Promise<Volume> {
    const answer = await this.#endpoint.request({
      ...options,
      method: 'GET',
      path: `/volumes/${encodeURIComponent(volumeId)}`,
      repeat: 'always',
    });
    const name = { what: "Cinder's answer to GET /volumes", requestId: answer.requestId };
    const volume = volumeOf(member(answer.body, 'volume', name));
    if (volume === undefined) throw malformed(name, 'is not a volume');
    return volume;
  }

  /**
   * The volumes of our own project, and no others: a user that makes volumes in another project could claim any image
   * there. Entries that cannot be understood are left out.
   */
  async list(options: ListOptions = {}): Promise<readonly Volume[]> {
    const { onSkipped, ...call } = options;
    const { items, skipped } = await allPages({
      what: "Cinder's list of volumes",
      fetch: (marker) => this.#page(new URLSearchParams(), this.#pageSize, marker, call),
      read: volumeOf,
    });
    if (skipped > 0) onSkipped?.(skipped);
    return this.#ours(items, call);
  }

  /** Those of them that say they hold the image, as far as one small page goes: one call, however many volumes there are. */
  async claiming(imageId: string, options: CallOptions = {}): Promise<readonly Volume[]> {
    const filter = new URLSearchParams({ metadata: `{'glance_image_id': '${imageId}'}` });
    const { entries } = await this.#page(filter, CLAIMS, undefined, options);
    // A Cinder that does not know the filter answers with any volumes.
    const volumes = entries.flatMap((entry) => volumeOf(entry) ?? []);
    return (await this.#ours(volumes, options)).filter(
      ({ metadata }) => metadata.glance_image_id === imageId,
    );
  }

  /** The snapshots of one volume, in whatever state. */
  snapshots(volumeId: string, options: CallOptions = {}): Promise<readonly Snapshot[]> {
    return snapshotsOf(this.#endpoint, volumeId, this.#pageSize, options);
  }

  async #page(
    filter: URLSearchParams,
    size: number,
    marker: string | undefined,
    options: CallOptions,
  ): Promise<Page> {
    const query = new URLSearchParams([['limit', String(size)], ...filter]);
    if (marker !== undefined) query.set('marker', marker);
    const answer = await this.#endpoint.request({
      ...options,
      method: 'GET',
      path: `/volumes/detail?${query.toString()}`,
      repeat: 'always',
      maxBytes: pageBytes(size),
    });
    const name = { what: "Cinder's answer to GET /volumes/detail", requestId: answer.requestId };
    return {
      entries: requiredList(member(answer.body, 'volumes', name), 'volumes', name),
      next: isRecord(answer.body) ? nextLink(answer.body.volumes_links) : undefined,
      requestId: answer.requestId,
      bytes: answer.bytes,
    };
  }

  async #ours(volumes: readonly Volume[], options: CallOptions): Promise<readonly Volume[]> {
    const ours = await this.#endpoint.projectId(options);
    return volumes.filter(({ projectId }) => projectId === undefined || projectId === ours);
  }
}

/** The volume Cinder describes; undefined if it is not one. */
export function volumeOf(entry: unknown): Volume | undefined {
  if (!isRecord(entry) || !isUuid(entry.id)) return undefined;
  const sizeGib = optionalSize(entry.size);
  const status = optionalText(entry.status);
  if (sizeGib === undefined || status === undefined) return undefined;
  return {
    id: entry.id,
    name: optionalText(entry.name) ?? '',
    status,
    sizeGib,
    multiattach: entry.multiattach === true,
    encrypted: entry.encrypted === true,
    projectId: optionalText(entry['os-vol-tenant-attr:tenant_id']),
    volumeType: optionalText(entry.volume_type),
    metadata: textsOf(entry.metadata),
    sharedTargets: sharedTargetsOf(entry.shared_targets),
    serviceUuid: optionalText(entry.service_uuid),
    attachments: Array.isArray(entry.attachments)
      ? entry.attachments.flatMap((attachment: unknown) => volumeAttachmentOf(attachment) ?? [])
      : [],
  };
}

function volumeAttachmentOf(entry: unknown): VolumeAttachment | undefined {
  if (!isRecord(entry) || !isUuid(entry.attachment_id)) return undefined;
  return {
    attachmentId: entry.attachment_id,
    serverId: optionalText(entry.server_id),
    hostName: optionalText(entry.host_name),
    device: optionalText(entry.device),
  };
}

function sharedTargetsOf(value: unknown): boolean | null | undefined {
  return typeof value === 'boolean' || value === null ? value : undefined;
}

function textsOf(metadata: unknown): Readonly<Record<string, string>> {
  if (!isRecord(metadata)) return {};
  return Object.fromEntries(
    Object.entries(metadata).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}
