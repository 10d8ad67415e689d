/** Listing images: which user sees which, filters, order, pages. */

import { imageView } from './glance-view.js';
import type { ImageShelf } from './image-shelf.js';
import type { Cloud, Image } from './model.js';
import { ApiError, type Call, type Reply } from './service.js';
import type { Caller, Tokens } from './tokens.js';

/** What the operations of Glance work on. */
export interface GlanceDeps {
  readonly cloud: Cloud;
  readonly tokens: Tokens;
  readonly shelf: ImageShelf;
  /** limit_param_default and api_limit_max. */
  readonly defaultLimit: number;
  readonly maxLimit: number;
  /** show_multiple_locations and show_image_direct_url. */
  readonly showLocations: boolean;
  /** Whether `GET /v2/images/ID/locations` exists (Glance 29 and later). */
  readonly locationsApi: boolean;
  /** A DELETE leaves the volume to a scrubber, which tries until it is not attached. */
  readonly delayedDelete: boolean;
}

/** One authenticated request. */
export interface GlanceCall extends Call, GlanceDeps {
  readonly caller: Caller;
}

/** The image, if it exists and the caller may see it; ApiError 404 otherwise. */
export function findImage(call: GlanceCall, id: string): Image {
  const image = call.cloud.images.get(id);
  if (image === undefined || image.status === 'deleted' || !maySee(call, image)) {
    throw new ApiError(404, `No image found with ID ${id}`);
  }
  return image;
}

/** `GET /v2/images`. Files that have appeared or gone are noticed first. */
export async function list(call: GlanceCall): Promise<Reply> {
  await call.shelf.scan();
  const limit = Math.min(limitOf(call), call.maxLimit);
  const matching = [...call.cloud.images.values()]
    .filter((image) => isListed(call, image))
    .toSorted(byOrder(call));
  const marker = call.query.get('marker');
  const after = marker === null ? -1 : matching.findIndex((image) => image.id === marker);
  if (marker !== null && after === -1) throw new ApiError(400, `No image found with ID ${marker}`);
  const page = matching.slice(after + 1, after + 1 + limit);
  const query = new URLSearchParams(call.query);
  query.delete('marker');
  const last = page.at(-1);
  // A full page has a next one, even if that turns out empty: Glance does not look ahead.
  const next = last !== undefined && page.length === limit ? { next: nextLink(query, last.id) } : {};
  const json = {
    images: page.map((image) => imageView(image, call.showLocations)),
    first: query.size === 0 ? '/v2/images' : `/v2/images?${query.toString()}`,
    schema: '/v2/schemas/images',
    ...next,
  };
  return { status: 200, json };
}

function nextLink(query: URLSearchParams, marker: string): string {
  const rest = new URLSearchParams(query);
  rest.append('marker', marker);
  return `/v2/images?${rest.toString()}`;
}

function maySee(call: GlanceCall, image: Image): boolean {
  const isOwn = image.owner === call.caller.token.project?.id;
  return call.caller.isAdmin || isOwn || image.visibility === 'public' || image.visibility === 'community';
}

function isListed(call: GlanceCall, image: Image): boolean {
  const wanted = call.query.get('visibility');
  const isOwn = image.owner === call.caller.token.project?.id;
  // Community images are listed only when asked for.
  const isShown = image.visibility !== 'community' || isOwn || wanted === 'community' || wanted === 'all';
  const isHiddenWanted = call.query.get('os_hidden')?.toLowerCase() === 'true';
  return (
    image.status !== 'deleted' &&
    maySee(call, image) &&
    isShown &&
    image.hidden === isHiddenWanted &&
    [...call.query].every(([name, value]) => passes(image, name, value))
  );
}

const NO_FILTER = ['limit', 'marker', 'sort', 'sort_key', 'sort_dir', 'os_hidden', 'member_status'];

function passes(image: Image, name: string, wanted: string): boolean {
  if (NO_FILTER.includes(name) || (name === 'visibility' && wanted === 'all')) return true;
  if (name === 'tag') return image.tags.includes(wanted);
  if (name === 'size_min') return (image.size ?? 0) >= Number(wanted);
  if (name === 'size_max') return (image.size ?? 0) <= Number(wanted);
  const view = imageView(image, true) as Record<string, unknown>;
  return matches(String(view[name]), wanted);
}

const COMPARISONS: Record<string, (actual: string, operand: string) => boolean> = {
  in: (actual, operand) => operand.split(',').includes(actual),
  gt: (actual, operand) => actual > operand,
  gte: (actual, operand) => actual >= operand,
  lt: (actual, operand) => actual < operand,
  lte: (actual, operand) => actual <= operand,
  neq: (actual, operand) => actual !== operand,
  eq: (actual, operand) => actual === operand,
};

/** `in:a,b`, `gte:2026-01-01T00:00:00Z`, or the value itself. */
function matches(actual: string, wanted: string): boolean {
  const [, operator = '', operand = ''] = /^(\w+):(.*)$/s.exec(wanted) ?? [];
  return COMPARISONS[operator]?.(actual, operand) ?? actual === wanted;
}

/** `sort=name:asc,...` or sort_key and sort_dir; newest first by default, the id deciding between equals. */
function byOrder(call: GlanceCall): (a: Image, b: Image) => number {
  const sort = call.query.get('sort')?.split(',')[0]?.split(':') ?? [];
  const key = sort[0] ?? call.query.get('sort_key') ?? 'created_at';
  const isAscending = (sort[1] ?? call.query.get('sort_dir') ?? 'desc') === 'asc';
  const valueOf = (image: Image): string | number => {
    if (key === 'created_at') return image.createdAt;
    if (key === 'updated_at') return image.updatedAt;
    if (key === 'size') return image.size ?? -1;
    return String((imageView(image, true) as Record<string, unknown>)[key]);
  };
  return (a, b) => {
    const [x, y] = [valueOf(a), valueOf(b)];
    const order = x === y ? (a.id < b.id ? -1 : 1) : x < y ? -1 : 1;
    return isAscending ? order : -order;
  };
}

function limitOf(call: GlanceCall): number {
  const text = call.query.get('limit');
  if (text === null) return call.defaultLimit;
  if (!/^-?\d+$/.test(text)) throw new ApiError(400, 'limit param must be an integer');
  if (Number(text) < 0) throw new ApiError(400, 'limit param must be positive');
  return Number(text);
}
