import { CinderfsError } from '../../errors.js';
import { isRecord, optionalText } from './wire.js';

/** One page of a listing: its entries and the link to the next page. */
export interface Page {
  readonly entries: readonly unknown[];
  readonly next: string | undefined;
  readonly requestId: string;
  /** Of the answer's body, where it is known. */
  readonly bytes?: number | undefined;
}

/** What one listing may take, all its pages and attempts together. A server that wants more is broken or hostile. */
export interface ListingLimits {
  readonly bytes: number;
  readonly entries: number;
  /** Pages in a row that bring nothing new. */
  readonly idlePages: number;
}

const LIMITS: ListingLimits = { bytes: 256 * 2 ** 20, entries: 100_000, idlePages: 8 };

/** The largest page that is read, in bytes: 16 KiB for each entry, which is ten times what services say of one. */
export function pageBytes(entries: number): number {
  return Math.max(2 ** 20, entries * 16 * 2 ** 10);
}

/** Of Cinder's `volumes_links` and its kin: where the next page is; undefined on the last. */
export function nextLink(links: unknown): string | undefined {
  const list: readonly unknown[] = Array.isArray(links) ? links : [];
  const next = list.filter(isRecord).find(({ rel }) => rel === 'next');
  return optionalText(next?.href);
}

/** How often a listing begins again because the entry it had come to was deleted meanwhile. */
const RESTARTS = 3;

export interface Listing<T> {
  /** "Glance's list of images". */
  readonly what: string;
  /** Asks for the page after `marker`. */
  readonly fetch: (marker: string | undefined) => Promise<Page>;
  /** What an entry says; undefined when it cannot be understood. */
  readonly read: (entry: unknown) => (T & { readonly id: string }) | undefined;
  readonly limits?: ListingLimits | undefined;
}

export interface Listed<T> {
  /** Each id once. */
  readonly items: readonly T[];
  /** Entries that could not be understood. */
  readonly skipped: number;
}

/**
 * A whole paged listing. Of a next link only the marker is used: behind a proxy its host is wrong, and our token goes
 * nowhere but to the endpoint we chose.
 *
 * Both services list by creation time and id, newest first, and a page begins after its marker's: whatever is there
 * from the first page to the last is listed, whatever comes and goes beside it. Only when the marker itself goes, the
 * service has no place to begin (Glance: 400, Cinder: 404), and the listing begins again.
 *
 * @throws CinderfsError `http_failed` beyond the limits.
 */
export async function allPages<T>(listing: Listing<T>): Promise<Listed<T>> {
  const meter = new Meter(listing.what, listing.limits ?? LIMITS);
  for (let restarts = 0; ; restarts++) {
    const found = await readThrough(listing, meter, restarts < RESTARTS);
    if (found !== 'marker is gone') return found;
  }
}

async function readThrough<T>(
  { fetch, read }: Listing<T>,
  meter: Meter,
  mayRestart: boolean,
): Promise<Listed<T> | 'marker is gone'> {
  const items = new Map<string, T>();
  let skipped = 0;
  for (let marker: string | undefined; ;) {
    const page = await fetch(marker).catch((error: unknown) => {
      if (marker !== undefined && mayRestart && isMarkerGone(error)) return undefined;
      throw error;
    });
    if (page === undefined) return 'marker is gone';
    const before = items.size;
    for (const entry of page.entries) {
      const item = read(entry);
      if (item === undefined) skipped++;
      else items.set(item.id, item);
    }
    const next = page.next === undefined ? undefined : markerOf(page.next);
    meter.count(page, items.size > before, next ?? '');
    if (next === undefined) return { items: [...items.values()], skipped };
    marker = next;
  }
}

/** Adds up what a listing takes. */
class Meter {
  readonly #what: string;
  readonly #limits: ListingLimits;
  #bytes = 0;
  #entries = 0;
  #idle = 0;

  constructor(what: string, limits: ListingLimits) {
    this.#what = what;
    this.#limits = limits;
  }

  count({ bytes = 0, entries, requestId }: Page, isNew: boolean, marker: string): void {
    this.#bytes += bytes;
    this.#entries += entries.length;
    this.#idle = isNew ? 0 : this.#idle + 1;
    const { bytes: maxBytes, entries: maxEntries, idlePages } = this.#limits;
    const fault =
      this.#bytes > maxBytes
        ? `is larger than ${maxBytes} bytes`
        : this.#entries > maxEntries
          ? `has more than ${maxEntries} entries`
          : this.#idle > idlePages
            ? `goes in circles at marker ${marker.slice(0, 64)}`
            : undefined;
    if (fault !== undefined) throw new CinderfsError('http_failed', `${this.#what} ${fault}`, { requestId });
  }
}

function isMarkerGone(error: unknown): boolean {
  return CinderfsError.is(error) && (error.context.status === 400 || error.context.status === 404);
}

function markerOf(link: string): string | undefined {
  // The base only makes relative links parse.
  const url = URL.canParse(link, 'http://service') ? new URL(link, 'http://service') : undefined;
  return url?.searchParams.get('marker') ?? undefined;
}
