import { CinderfsError } from '../errors.js';

/** One page of a listing: its entries and the link to the next page. */
export interface Page {
  readonly entries: readonly unknown[];
  readonly next: string | undefined;
  readonly requestId: string;
}

/**
 * All entries of a paged listing. `fetch` asks for the page after `marker`. Of a next link only the marker is used:
 * behind a proxy its host is wrong, and our token goes nowhere but to the endpoint we chose.
 */
export async function allPages(
  what: string,
  fetch: (marker: string | undefined) => Promise<Page>,
): Promise<readonly unknown[]> {
  const entries: unknown[] = [];
  const seen = new Set<string>();
  for (let marker: string | undefined; ;) {
    const page = await fetch(marker);
    entries.push(...page.entries);
    marker = page.next === undefined ? undefined : markerOf(page.next);
    if (marker === undefined) return entries;
    if (seen.has(marker)) {
      throw new CinderfsError('http_failed', `${what} goes in circles at marker ${marker}`, {
        requestId: page.requestId,
      });
    }
    seen.add(marker);
  }
}

function markerOf(link: string): string | undefined {
  // The base only makes relative links parse.
  const url = URL.canParse(link, 'http://service') ? new URL(link, 'http://service') : undefined;
  return url?.searchParams.get('marker') ?? undefined;
}
