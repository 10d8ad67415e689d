import type { ImageFacts } from '../contract/catalog.js';
import { CinderfsError } from '../../errors.js';
import { parseLocation, type VolumeLocation } from './location.js';
import { allPages, type Page, pageBytes } from '../http/paging.js';
import type { Session } from '../keystone/session.js';
import type { CallOptions, ListOptions } from '../contract/calls.js';
import type { HttpAnswer } from '../http/exchange.js';
import {
  isRecord,
  isUuid,
  member,
  optionalDate,
  optionalSize,
  optionalText,
  requiredList,
} from '../http/wire.js';

/** An image as Glance lists it, before anything is known of its volume. */
export interface ListedImage extends ImageFacts {
  readonly status: string;
  /** Bytes; undefined while Glance does not know. */
  readonly size: number | undefined;
  /** public, community, shared or private; empty where Glance does not say. */
  readonly visibility: string;
  /** The project it belongs to. */
  readonly owner: string | undefined;
  /** Superseded: left out of ordinary listings, and meant to stay usable. */
  readonly hidden: boolean;
  /** Its Cinder locations; undefined when Glance does not show us locations (which is the usual case). */
  readonly locations: readonly VolumeLocation[] | undefined;
}

export interface ImageListOptions extends ListOptions {
  readonly also?: readonly (keyof typeof ALSO)[] | undefined;
}

/** Glance lists these only on request. */
const ALSO = { hidden: { os_hidden: 'true' }, community: { visibility: 'community' } } as const;

/** Images that share a name with one that is looked for; a few are looked at. */
const NAMESAKES = 16;

export class Images {
  readonly #session: Pick<Session, 'request' | 'endpoint'>;
  readonly #pageSize: number;

  constructor(session: Pick<Session, 'request' | 'endpoint'>, pageSize: number) {
    this.#session = session;
    this.#pageSize = pageSize;
  }

  /**
   * All active images that an ordinary listing shows us, and those that `also` names: hidden ones, and community images
   * of other projects. Entries that cannot be understood are left out, never an error.
   */
  async list(options: ImageListOptions = {}): Promise<readonly ListedImage[]> {
    const { onSkipped, also = [], ...call } = options;
    const lists: ListedImage[][] = [];
    let skipped = 0;
    for (const filter of [{}, ...also.map((kind) => ALSO[kind])]) {
      const found = await allPages({
        what: "Glance's list of images",
        fetch: (marker) => this.#page(filter, this.#pageSize, marker, call),
        read: imageOf,
      });
      lists.push([...found.items]);
      skipped += found.skipped;
    }
    if (skipped > 0) onSkipped?.(skipped);
    return lists.flat();
  }

  /** One image; undefined where there is none that we may see. One call, however many images there are. */
  async show(imageId: string, options: CallOptions = {}): Promise<ListedImage | undefined> {
    try {
      return imageOf((await this.#get(`/images/${imageId}`, options)).body);
    } catch (error) {
      if (CinderfsError.is(error) && (error.code === 'not_found' || error.code === 'forbidden'))
        return undefined;
      throw error;
    }
  }

  /** Active images of exactly that name, as far as one small page goes: one call, however many images there are. */
  async named(name: string, options: CallOptions = {}): Promise<readonly ListedImage[]> {
    const { entries } = await this.#page({ name }, NAMESAKES, undefined, options);
    return entries.flatMap((entry) => imageOf(entry) ?? []).filter((image) => image.name === name);
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

  async #page(
    filter: Readonly<Record<string, string>>,
    size: number,
    marker: string | undefined,
    options: CallOptions,
  ): Promise<Page> {
    const query = new URLSearchParams({ limit: String(size), status: 'active', ...filter });
    if (marker !== undefined) query.set('marker', marker);
    const maxBytes = pageBytes(size);
    const answer = await this.#get(`/images?${query.toString()}`, { ...options, maxBytes });
    const name = { what: "Glance's answer to GET /v2/images", requestId: answer.requestId };
    return {
      entries: requiredList(member(answer.body, 'images', name), 'images', name),
      next: isRecord(answer.body) ? optionalText(answer.body.next) : undefined,
      requestId: answer.requestId,
      bytes: answer.bytes,
    };
  }

  async #get(path: string, options: CallOptions & { readonly maxBytes?: number }): Promise<HttpAnswer> {
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
    visibility: optionalText(entry.visibility) ?? '',
    owner: optionalText(entry.owner),
    hidden: entry.os_hidden === true,
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
