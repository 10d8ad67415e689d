import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { allPages, type Listed, type ListingLimits, type Page } from '../../src/cinder/http/paging.js';
import { CinderfsError } from '../../src/errors.js';
import { assertProperty } from '../support/seeds.js';

interface Item {
  readonly id: string;
}

const read = (entry: unknown): Item | undefined => (typeof entry === 'string' ? { id: entry } : undefined);

const list = (
  fetch: (marker: string | undefined) => Page | Error,
  limits?: ListingLimits,
): Promise<Listed<Item>> =>
  allPages({
    what: 'the list',
    read,
    limits,
    fetch: (marker) => {
      const answer = fetch(marker);
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  });

const page = (entries: readonly unknown[], next?: string, bytes?: number): Page => ({
  entries,
  next: next === undefined ? undefined : `/x?marker=${next}`,
  requestId: 'req-1',
  bytes,
});

const gone = (status: number): CinderfsError =>
  new CinderfsError(status === 404 ? 'not_found' : 'http_failed', `answered ${status}`, { status });

const failed = (pattern: RegExp) => (error: unknown) =>
  CinderfsError.is(error) && error.code === 'http_failed' && pattern.test(error.message);

/** A service that lists newest first by number, as Glance and Cinder do; a marker that is gone is an error. */
class Service {
  readonly rows = new Set<number>();
  pages = 0;

  constructor(
    readonly size: number,
    readonly status: number,
  ) {}

  page(marker: string | undefined): Page | Error {
    this.pages++;
    if (marker !== undefined && !this.rows.has(Number(marker))) return gone(this.status);
    const below = [...this.rows].sort((a, b) => b - a).filter((row) => row < Number(marker ?? Infinity));
    const found = below.slice(0, this.size);
    return page(found.map(String), found.length === this.size ? String(found.at(-1)) : undefined);
  }
}

describe('a paged listing', () => {
  it('loses nothing that was there throughout, whatever comes and goes between its pages', async () => {
    const change = fc.record({ add: fc.boolean(), row: fc.nat(60) });
    await assertProperty(
      fc.asyncProperty(
        fc.uniqueArray(fc.nat(60), { maxLength: 40 }),
        fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 12 }),
        fc.integer({ min: 1, max: 5 }),
        fc.constantFrom(400, 404),
        async (rows, changes, size, status) => {
          const service = new Service(size, status);
          rows.forEach((row) => service.rows.add(row));
          const touched = new Set<number>();
          const steps = [...changes];
          const outcome = await list((marker) => {
            const answer = service.page(marker);
            for (const { add, row } of steps.shift() ?? []) {
              touched.add(row);
              // A row of a later creation time is a new one; an old one never comes back.
              if (add) service.rows.add(row);
              else service.rows.delete(row);
            }
            return answer;
          }).catch((error: unknown) => error as CinderfsError);
          if (CinderfsError.is(outcome)) {
            assert.equal(outcome.context.status, status, outcome.message);
            assert.ok(service.pages > 4, 'it was begun again a few times');
            return;
          }
          const ids = outcome.items.map(({ id }) => id);
          assert.equal(new Set(ids).size, ids.length, 'each once');
          for (const row of rows) if (!touched.has(row)) assert.ok(ids.includes(String(row)), `lost ${row}`);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('begins again when the entry it had come to was deleted, and ends after a few times', async () => {
    for (const status of [400, 404]) {
      let calls = 0;
      const found = await list((marker) => {
        calls++;
        if (marker !== undefined && calls < 5) return gone(status);
        return marker === undefined ? page(['a', 'b'], 'b') : page(['c']);
      });
      assert.deepEqual(found.items.map(({ id }) => id).join(''), 'abc');
      calls = 0;
      await assert.rejects(
        list((marker) => (calls++, marker === undefined ? page(['a'], 'a') : gone(status))),
        (error) => CinderfsError.is(error) && error.context.status === status,
      );
      assert.equal(calls, 8, 'four times two pages');
    }
  });

  it('does not begin again for anything else', async () => {
    let calls = 0;
    await assert.rejects(list(() => (calls++, gone(400))));
    await assert.rejects(list((marker) => (calls++, marker === undefined ? page(['a'], 'a') : gone(500))));
    assert.equal(calls, 3);
  });

  it('leaves out and counts what it cannot understand', async () => {
    const found = await list(() => page(['a', null, 7, {}, 'b']));
    assert.deepEqual([found.items.length, found.skipped], [2, 3]);
  });

  it('ends, whatever a server sends', async () => {
    const limits = { bytes: 1000, entries: 50, idlePages: 3 };
    let n = 0;
    const endless = (make: () => Page): Promise<Listed<Item>> => list(make, limits);
    // Ever new markers, never anything new.
    await assert.rejects(
      endless(() => page(['a'], `m${n++}`)),
      failed(/circles at marker m4/),
    );
    // The same marker.
    await assert.rejects(
      endless(() => page([], 'm')),
      failed(/circles at marker m/),
    );
    // Ever new entries; many in one page; fat ones.
    await assert.rejects(
      endless(() => page([`e${n++}`], `m${n}`)),
      failed(/more than 50 entries/),
    );
    await assert.rejects(
      endless(() => page(Array<null>(51).fill(null))),
      failed(/more than 50 entries/),
    );
    await assert.rejects(
      endless(() => page([`e${n++}`], `m${n}`, 300)),
      failed(/larger than 1000 bytes/),
    );
    // A listing that begins again spends from the same purse.
    await assert.rejects(
      list((marker) => (marker === undefined ? page(['a', 'b'], 'b', 400) : gone(400)), limits),
      failed(/larger than 1000 bytes/),
    );
  });
});
