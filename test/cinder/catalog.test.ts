import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { ImageCatalog } from '../../src/cinder/catalog.js';
import { imageOf, type ListedImage } from '../../src/cinder/images.js';
import type { VolumeLocation } from '../../src/cinder/location.js';
import type { CatalogSnapshot } from '../../src/cinder/types.js';
import { CinderfsError } from '../../src/errors.js';
import { silentLog, type Log } from '../../src/log.js';
import { ManualClock, settled } from './manual-clock.js';

const uuid = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;

function listed(n: number, changes: Record<string, unknown> = {}): ListedImage {
  const image = imageOf({
    id: uuid(n),
    name: `image-${n}`,
    status: 'active',
    size: 1000 + n,
    updated_at: '2026-11-22T12:00:00Z',
    locations: [{ url: `cinder://store/${uuid(0x1000 + n)}` }],
    ...changes,
  });
  assert.ok(image !== undefined);
  return image;
}

/** Glance and Cinder as the catalog sees them, under the test's thumb. */
class FakeListing {
  images: ListedImage[] = [];
  found = new Map<string, VolumeLocation[]>();
  error: Error | undefined;
  /** What lookups of locations fail with. */
  refused: Error | undefined;
  lists = 0;
  lookups: string[] = [];
  /** Holds listings up until it resolves. */
  gate: Promise<void> = Promise.resolve();

  async list({ signal }: { signal?: AbortSignal | undefined } = {}): Promise<readonly ListedImage[]> {
    this.lists++;
    const { images, error } = this;
    await this.gate;
    signal?.throwIfAborted();
    if (error !== undefined) throw error;
    return images;
  }

  async locations(id: string): Promise<readonly VolumeLocation[] | undefined> {
    this.lookups.push(id);
    await settled();
    if (this.refused !== undefined) throw this.refused;
    return this.found.get(id);
  }
}

interface Harness {
  readonly catalog: ImageCatalog;
  readonly clock: ManualClock;
  readonly listing: FakeListing;
  readonly said: string[];
}

function harness(t: TestContext, images: ListedImage[] = [listed(1)]): Harness {
  const clock = new ManualClock();
  const listing = new FakeListing();
  listing.images = images;
  const said: string[] = [];
  const say = (level: string) => (_: object, message: string) => void said.push(`${level}: ${message}`);
  const log: Log = { ...silentLog, info: say('info'), warn: say('warn'), error: say('error') };
  const catalog = new ImageCatalog({
    images: listing,
    volumes: { list: () => Promise.resolve([]) },
    clock,
    log,
    ttlMs: 60_000,
    minRefreshIntervalMs: 2000,
  });
  t.after(() => catalog.stop());
  return { catalog, clock, listing, said };
}

const names = (snapshot: CatalogSnapshot): string[] => [...snapshot.images.values()].map(({ name }) => name);
const down = new CinderfsError('http_failed', 'Glance: GET /v2/images answered 503', { requestId: 'req-1' });

describe('the catalog', () => {
  it('starts with a snapshot or with the reason why there is none', async (t) => {
    const { catalog, listing } = harness(t);
    assert.equal(catalog.snapshot.generation, 0);
    listing.error = down;
    await assert.rejects(catalog.start(), down);
    listing.error = undefined;
    assert.deepEqual(names(await catalog.start()), ['image-1']);
    assert.equal(catalog.snapshot.generation, 1);
  });

  it('refreshes when its time is up, and stops when told', async (t) => {
    const { catalog, clock, listing } = harness(t);
    await catalog.start();
    listing.images = [listed(1), listed(2)];
    await clock.advance(59_999);
    assert.equal(listing.lists, 1);
    await clock.advance(1);
    assert.deepEqual(names(catalog.snapshot), ['image-1', 'image-2']);
    catalog.stop();
    await clock.advance(600_000);
    assert.equal(listing.lists, 2);
    assert.equal(clock.pending, 0);
  });

  it('is refreshed at once when asked, but not more often than it may', async (t) => {
    const { catalog, clock, listing } = harness(t);
    await catalog.start();
    for (let i = 0; i < 100; i++) assert.equal(await catalog.refresh(), catalog.snapshot);
    assert.equal(listing.lists, 1, 'the start was just now');
    await clock.advance(2000);
    listing.images = [listed(2)];
    const answers = await Promise.all(Array.from({ length: 100 }, () => catalog.refresh()));
    assert.equal(listing.lists, 2);
    for (const answer of answers) assert.deepEqual(names(answer), ['image-2']);
  });

  it('answers with what is fresher than the question, not with a refresh that ran before it', async (t) => {
    const { catalog, clock, listing } = harness(t);
    await catalog.start();
    let open = (): void => undefined;
    listing.gate = new Promise((resolve) => {
      open = resolve;
    });
    await clock.advance(60_000);
    assert.equal(listing.lists, 2, 'the refresh of the background hangs');
    await clock.advance(5000);
    listing.images = [listed(7)];
    const asked = catalog.refresh();
    listing.gate = Promise.resolve();
    open();
    assert.deepEqual(names(await asked), ['image-7']);
    assert.equal(listing.lists, 3);
  });

  it('keeps the old snapshot while OpenStack fails, says so once, and says when it is over', async (t) => {
    const { catalog, clock, listing, said } = harness(t);
    const before = await catalog.start();
    listing.error = down;
    await clock.advance(60_000);
    await clock.advance(600_000);
    assert.ok(listing.lists > 8, `it is tried again: ${listing.lists}`);
    assert.equal(catalog.snapshot, before);
    assert.equal(catalog.lastError, down);
    assert.equal(said.length, 1, said.join('\n'));
    assert.match(said[0] ?? '', /^warn: .*could not be refreshed/);
    listing.error = undefined;
    await clock.advance(60_000);
    assert.equal(catalog.lastError, undefined);
    assert.match(said[1] ?? '', /^info: .*fresh again/);
    assert.equal(said.length, 2);
  });

  it('tells of changes, and only of changes', async (t) => {
    const { catalog, clock, listing, said } = harness(t);
    const told: string[][] = [];
    catalog.onChange(() => {
      throw new Error('a listener that fails must not harm the others');
    });
    const stop = catalog.onChange((now, previous) => told.push([...names(previous), '->', ...names(now)]));
    await catalog.start();
    const [kept] = catalog.snapshot.images.values();
    listing.images = [listed(1)];
    await clock.advance(60_000);
    assert.equal(catalog.snapshot.generation, 2);
    assert.equal(catalog.snapshot.images.get(uuid(1)), kept, 'what is the same stays the same object');
    listing.images = [listed(1), listed(2)];
    await clock.advance(60_000);
    assert.equal(catalog.snapshot.images.get(uuid(1)), kept);
    listing.images = [listed(1, { size: 5 })];
    await clock.advance(60_000);
    stop();
    listing.images = [];
    await clock.advance(60_000);
    assert.deepEqual(told, [
      ['->', 'image-1'],
      ['image-1', '->', 'image-1', 'image-2'],
      ['image-1', 'image-2', '->', 'image-1'],
    ]);
    assert.equal(said.filter((line) => line.includes('listener')).length, 4);
  });

  it('looks a location up once per version of an image, also when there is none', async (t) => {
    const hidden = { locations: undefined };
    const { catalog, clock, listing } = harness(t, [listed(1, hidden), listed(2, hidden)]);
    listing.found.set(uuid(1), [{ volumeId: uuid(0x2001), storeId: 's' }]);
    await catalog.start();
    assert.deepEqual(names(catalog.snapshot), ['image-1']);
    await clock.advance(180_000);
    assert.deepEqual(listing.lookups.sort(), [uuid(1), uuid(2)]);
    listing.found.set(uuid(2), [{ volumeId: uuid(0x2002), storeId: 's' }]);
    listing.images = [listed(1, hidden), listed(2, { ...hidden, updated_at: '2026-11-22T13:00:00Z' })];
    await clock.advance(60_000);
    assert.equal(listing.lookups.length, 3);
    assert.deepEqual(names(catalog.snapshot), ['image-1', 'image-2']);
  });

  it('keeps what it knew of a location when a lookup fails, and asks again', async (t) => {
    const hidden = { locations: undefined };
    const { catalog, clock, listing } = harness(t, [listed(1, hidden)]);
    listing.found.set(uuid(1), [{ volumeId: uuid(0x2001), storeId: 's' }]);
    await catalog.start();
    listing.images = [listed(1, { ...hidden, updated_at: '2026-11-22T13:00:00Z' })];
    listing.refused = down;
    await clock.advance(60_000);
    assert.equal(catalog.snapshot.images.get(uuid(1))?.volumeId, uuid(0x2001));
    listing.refused = undefined;
    listing.found.set(uuid(1), [{ volumeId: uuid(0x2002), storeId: 's' }]);
    await clock.advance(60_000);
    assert.equal(catalog.snapshot.images.get(uuid(1))?.volumeId, uuid(0x2002));
    assert.deepEqual(catalog.snapshot.images.get(uuid(1))?.locations, [uuid(0x2002)]);
  });

  it('lets one who asked leave', async (t) => {
    const { catalog, clock, listing } = harness(t);
    await catalog.start();
    await clock.advance(2000);
    listing.gate = new Promise(() => undefined);
    const leave = new AbortController();
    const asked = catalog.refresh({ signal: leave.signal });
    leave.abort();
    await assert.rejects(asked, (error) => CinderfsError.is(error) && error.code === 'interrupted');
  });
});
