import { CinderfsError } from '../errors.js';
import { parseLocation, type VolumeLocation } from './location.js';
import { allPages } from './paging.js';
import type { Session } from './session.js';
import type { CallOptions } from './types.js';
import type { HttpAnswer } from './http.js';
import { isRecord, isUuid, member, optionalDate, optionalSize, optionalText, requiredList } from './wire.js';

/** An image as Glance lists it, before anything is known of its volume. */
export interface ListedImage {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  /** Bytes; undefined while Glance does not know. */
  readonly size: number | undefined;
  readonly diskFormat: string;
  readonly containerFormat: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly hashAlgorithm: string | undefined;
  readonly hashValue: string | undefined;
  /** It has the property `cinder_encryption_key_id`. */
  readonly encrypted?: boolean | undefined;
  /** Its Cinder locations; undefined when Glance does not show us locations (which is the usual case). */
  readonly locations: readonly VolumeLocation[] | undefined;
}

export class Images {
  readonly #session: Pick<Session, 'request' | 'endpoint'>;
  readonly #pageSize: number;

  constructor(session: Pick<Session, 'request' | 'endpoint'>, pageSize: number) {
    this.#session = session;
    this.#pageSize = pageSize;
  }

  /** All active images we may see. Entries that cannot be understood are left out, never an error. */
  async list(options: CallOptions = {}): Promise<readonly ListedImage[]> {
    const entries = await allPages("Glance's list of images", async (marker) => {
      const query = new URLSearchParams({ limit: String(this.#pageSize), status: 'active' });
      if (marker !== undefined) query.set('marker', marker);
      const answer = await this.#get(`/images?${query.toString()}`, options);
      const name = { what: "Glance's answer to GET /v2/images", requestId: answer.requestId };
      return {
        entries: requiredList(member(answer.body, 'images', name), 'images', name),
        next: isRecord(answer.body) ? optionalText(answer.body.next) : undefined,
        requestId: answer.requestId,
      };
    });
    return entries.flatMap((entry) => imageOf(entry) ?? []);
  }

  /**
   * The Cinder locations of an image by the locations API (Glance 2.17, service role); undefined when it is refused or
   * absent.
   */
  async locations(
    imageId: string,
    options: CallOptions = {},
  ): Promise<readonly VolumeLocation[] | undefined> {
    try {
      const { body } = await this.#get(`/images/${imageId}/locations`, options);
      return Array.isArray(body) ? volumeLocations(body) : undefined;
    } catch (error) {
      if (CinderfsError.is(error) && (error.code === 'not_found' || error.code === 'forbidden'))
        return undefined;
      throw error;
    }
  }

  async #get(path: string, options: CallOptions): Promise<HttpAnswer> {
    const endpoint = await this.#session.endpoint('image', options);
    const base = endpoint.replace(/(?<=[^/])\/v\d[\d.]*$/, '');
    return this.#session.request('image', {
      ...options,
      method: 'GET',
      url: `${base}/v2${path}`,
      repeat: 'always',
    });
  }
}

/** The image a listing entry describes; undefined if it is not one. */
export function imageOf(entry: unknown): ListedImage | undefined {
  if (!isRecord(entry) || !isUuid(entry.id)) return undefined;
  const updatedAt = optionalDate(entry.updated_at);
  const createdAt = optionalDate(entry.created_at) ?? updatedAt;
  if (updatedAt === undefined || createdAt === undefined) return undefined;
  return {
    id: entry.id,
    name: optionalText(entry.name) ?? '',
    status: optionalText(entry.status) ?? '',
    size: optionalSize(entry.size),
    diskFormat: optionalText(entry.disk_format) ?? '',
    containerFormat: optionalText(entry.container_format) ?? '',
    createdAt,
    updatedAt,
    hashAlgorithm: optionalText(entry.os_hash_algo),
    hashValue: optionalText(entry.os_hash_value),
    encrypted: optionalText(entry.cinder_encryption_key_id) !== undefined,
    locations: shownLocations(entry),
  };
}

/** `locations` shows all of them, `direct_url` only the first; each is there only where the operator enabled it. */
function shownLocations(entry: Readonly<Record<string, unknown>>): readonly VolumeLocation[] | undefined {
  if (Array.isArray(entry.locations)) return volumeLocations(entry.locations);
  const direct = optionalText(entry.direct_url);
  return direct === undefined ? undefined : volumeLocations([{ url: direct }]);
}

function volumeLocations(list: readonly unknown[]): readonly VolumeLocation[] {
  return list.flatMap((location) => {
    const url = isRecord(location) ? optionalText(location.url) : undefined;
    return (url === undefined ? undefined : parseLocation(url)) ?? [];
  });
}
