/** Cinder's paging and filtering, shared by volumes and attachments. */

import type { CinderCall } from './cinder-call.js';
import { ApiError } from './service.js';

export interface Page<T> {
  readonly items: readonly T[];
  /** Where the rest is, when the page is full: also when it was the last one exactly, as Cinder does. */
  readonly next: string | undefined;
  readonly total: number;
}

interface Listed {
  readonly id: string;
  readonly createdAt: number;
}

/** The page `limit`, `marker` and `offset` ask for, newest first unless `sort` says `created_at:asc`. */
export function pageOf<T extends Listed>(
  call: CinderCall,
  collection: string,
  items: readonly T[],
  markerMissing: (marker: string) => string,
): Page<T> {
  const sorted = items.toSorted(byAge(call));
  const limit = limitOf(call);
  const marker = call.query.get('marker');
  const after = marker === null ? -1 : sorted.findIndex((item) => item.id === marker);
  if (marker !== null && after === -1) throw new ApiError(404, markerMissing(marker));
  const start = after + 1 + wholeNumber(call, 'offset', 0);
  const page = sorted.slice(start, start + limit);
  const last = page.at(-1);
  const next = last !== undefined && page.length >= limit ? nextLink(call, collection, last.id) : undefined;
  return { items: page, next, total: items.length };
}

function byAge(call: CinderCall): (a: Listed, b: Listed) => number {
  const direction = (call.query.get('sort') ?? '').startsWith('created_at:asc') ? 1 : -1;
  return (a, b) => direction * (a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
}

function limitOf(call: CinderCall): number {
  return Math.min(wholeNumber(call, 'limit', call.pageLimit), call.pageLimit);
}

function wholeNumber(call: CinderCall, name: string, otherwise: number): number {
  const text = call.query.get(name);
  if (text === null) return otherwise;
  if (!/^-?\d+$/.test(text)) throw new ApiError(400, `${name} param must be an integer`);
  if (Number(text) < 0) throw new ApiError(400, `${name} param must be positive`);
  return Number(text);
}

function nextLink(call: CinderCall, collection: string, marker: string): string {
  const query = new URLSearchParams(call.query);
  query.delete('marker');
  query.append('marker', marker);
  const project = call.urlProject === undefined ? '' : `/${call.urlProject}`;
  return `${call.baseUrl}/v3${project}/${collection}?${query.toString()}`;
}

const PAGING = ['limit', 'marker', 'offset', 'sort', 'sort_key', 'sort_dir', 'with_count', 'all_tenants'];

/** The filters of a listing. From 3.31 on an unknown one is an error, but for admins; before, it is ignored. */
export function filtersOf(call: CinderCall, allowed: readonly string[]): Map<string, string> {
  const given = [...call.query].filter(([name]) => !PAGING.includes(name));
  const unknown = given.map(([name]) => name).filter((name) => !allowed.includes(name));
  if (unknown.length > 0 && call.minor >= 31 && !call.caller.isAdmin) {
    throw new ApiError(400, `Invalid filters ${unknown.join(',')} are found in query options.`);
  }
  return new Map(given.filter(([name]) => allowed.includes(name)));
}

/** Admins see every project's when they ask for all_tenants; other users see the token's project's. */
export function seesProject(call: CinderCall, projectId: string): boolean {
  const asked = call.query.get('all_tenants');
  const isAll = asked !== null && !['0', 'false', 'no', 'off'].includes(asked.toLowerCase());
  return (call.caller.isAdmin && isAll) || projectId === call.projectId;
}
