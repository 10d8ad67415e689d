import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CinderfsError } from '../../src/errors.js';
import { down, harness, listed, names, uuid, volumeOfImage } from './catalog-harness.js';

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
    const failedAt = clock.wall();
    await clock.advance(600_000);
    assert.ok(listing.lists > 8, `it is tried again: ${listing.lists}`);
    assert.equal(catalog.snapshot, before);
    assert.equal(catalog.lastError, down);
    assert.equal(said.length, 1, said.join('\n'));
    assert.match(said[0] ?? '', /^warn: image list refresh failed; serving previous list/);
    assert.equal(catalog.health.lastError, down);
    assert.equal(catalog.health.failingSince, failedAt);
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
    listing.volumes = [1, 2].map((n) => volumeOfImage(n, 0x2000 + n, 'error_extending'));
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
    listing.volumes = [0x2001, 0x2002].map((id) => volumeOfImage(1, id));
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
