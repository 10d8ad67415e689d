import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { joinCatalog, unplaced } from '../../src/cinder/catalog/catalog-join.js';
import { imageOf, type ListedImage } from '../../src/cinder/glance/images.js';
import { parseLocation } from '../../src/cinder/glance/location.js';
import type { Volume } from '../../src/cinder/contract/volumes.js';
import { volumeOf } from '../../src/cinder/volumes/volumes.js';
import { assertProperty } from '../support/seeds.js';

const uuid = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
const IMAGE = uuid(1);
const [A, B] = [uuid(0xa), uuid(0xb)];

function image(changes: Record<string, unknown> = {}): ListedImage {
  const listed = imageOf({
    id: IMAGE,
    name: 'web',
    status: 'active',
    size: 1000,
    disk_format: 'raw',
    container_format: 'bare',
    created_at: '2026-11-22T12:05:01Z',
    updated_at: '2026-11-22T12:05:02Z',
    ...changes,
  });
  assert.ok(listed !== undefined);
  return listed;
}

function volume(id: string, changes: Record<string, unknown> = {}): Volume {
  const listed = volumeOf({
    id,
    status: 'available',
    size: 1,
    multiattach: true,
    metadata: { glance_image_id: IMAGE, image_size: '1000' },
    ...changes,
  });
  assert.ok(listed !== undefined);
  return listed;
}

function volumeIdOf(
  listed: ListedImage,
  volumes: readonly Volume[],
  lookedUp: [string, string[]][] = [],
): string {
  const locations = new Map(
    lookedUp.map(([id, urls]) => [id, urls.flatMap((url) => parseLocation(url) ?? [])]),
  );
  const { images, refused } = joinCatalog({ images: [listed], volumes, lookedUp: locations });
  if (refused[0] !== undefined) return refused[0].why;
  return images.get(IMAGE)?.volumeId ?? 'none';
}

const locations = (...urls: string[]): Record<string, unknown> => ({
  locations: urls.map((url) => ({ url, metadata: {} })),
});

describe('an image and its volume', () => {
  it('are joined by location before metadata', () => {
    const volumes = [volume(A), volume(B)];
    assert.equal(volumeIdOf(image(locations(`cinder://store/${B}`)), volumes), B);
    assert.equal(volumeIdOf(image({ direct_url: `cinder://${B}` }), volumes), B);
    assert.equal(volumeIdOf(image(), volumes), A);
  });

  it('are joined by a looked-up location where the listing shows none', () => {
    const failed = volume(B, { status: 'error_extending' });
    assert.equal(volumeIdOf(image(), [failed], [[IMAGE, [`cinder://${B}`]]]), B);
    assert.equal(volumeIdOf(image(), [volume(A)], [[IMAGE, ['file:///x']]]), 'none');
  });

  it('are not joined when the volume is not in the listing of our project, whoever we are', () => {
    assert.equal(volumeIdOf(image(locations(`cinder://store/${B}`)), []), 'not_ours');
    assert.equal(volumeIdOf(image(locations(`cinder://store/${B}`)), [volume(A)]), 'not_ours');
    assert.equal(volumeIdOf(image(), []), 'none');
  });

  it('are not joined when the volume does not say whose it is: silence is no consent', () => {
    assert.equal(volumeIdOf(image(locations(`cinder://${A}`)), [volume(A, { metadata: {} })]), 'no_claim');
  });

  it('are joined without image_size, which Cinder does not write when it registers a volume itself', () => {
    const registered = volume(A, {
      metadata: { image_owner: 'p', glance_image_id: IMAGE, readonly: 'True' },
    });
    assert.equal(volumeIdOf(image({ size: 2 ** 30 }), [registered]), A);
    assert.equal(volumeIdOf(image({ size: 2 ** 30, ...locations(`cinder://${A}`) }), [registered]), A);
  });

  it('prefer, of several locations, the one whose volume agrees', () => {
    const both = image(locations('https://mirror/x', `cinder://${A}`, `cinder://${B}`));
    assert.equal(volumeIdOf(both, [volume(B)]), B);
    assert.equal(volumeIdOf(both, [volume(A, { metadata: {} }), volume(B)]), B);
  });

  it('are not joined when the location names a volume of another image', () => {
    const other = volume(A, { metadata: { glance_image_id: uuid(99) } });
    assert.equal(volumeIdOf(image(locations(`cinder://${A}`)), [other]), 'other_image');
    assert.equal(volumeIdOf(image(locations(`cinder://${A}`, `cinder://${B}`)), [other, volume(B)]), B);
  });

  it('are not joined when Glance shows that the image is elsewhere', () => {
    assert.equal(volumeIdOf(image(locations('file:///images/x')), [volume(A)]), 'none');
    assert.equal(volumeIdOf(image(locations()), [volume(A)]), 'none');
  });

  it('are not joined by metadata to a volume that cannot hold the image', () => {
    const unfit = [
      { status: 'deleting' },
      { status: 'error' },
      { status: 'creating' },
      { metadata: { glance_image_id: IMAGE, image_size: '999' } },
    ];
    for (const changes of unfit) assert.equal(volumeIdOf(image(), [volume(A, changes)]), 'none');
    assert.equal(
      volumeIdOf(image({ size: 2 ** 30 + 1 }), [volume(A, { metadata: { glance_image_id: IMAGE } })]),
      'none',
    );
  });

  it('stay joined to the same volume in whatever order Cinder lists them', () => {
    assert.equal(volumeIdOf(image(), [volume(A), volume(B)]), A);
    assert.equal(volumeIdOf(image(), [volume(B), volume(A)]), A);
  });
});

describe('an image', () => {
  it('is hidden unless it is active and has bytes', () => {
    const hidden = [
      { status: 'deactivated' },
      { status: 'queued' },
      { status: 'saving' },
      { status: 'pending_delete' },
      { size: 0 },
      { size: null },
      { size: -1 },
      { size: 1.5 },
      { size: '1000' },
    ];
    for (const changes of hidden) {
      assert.equal(volumeIdOf(image(changes), [volume(A)]), 'none', JSON.stringify(changes));
      assert.deepEqual(unplaced([image(changes)], []), []);
    }
  });

  it('takes its size from Glance and multiattach from the volume, false when unknown', () => {
    const joined = joinCatalog({ images: [image()], volumes: [volume(A)], lookedUp: new Map() });
    const [found] = joined.images.values();
    assert.deepEqual([found?.size, found?.multiattach, found?.volumeGib], [1000, true, 1]);
    const named = joinCatalog({
      images: [image(locations(`cinder://s/${A}`))],
      volumes: [volume(A, { multiattach: 'yes' })],
      lookedUp: new Map(),
    });
    const [other] = named.images.values();
    assert.deepEqual([other?.multiattach, other?.storeId], [false, 's']);
  });

  it('is looked up only where volumes claim it and do not settle it, or none claims any', () => {
    assert.deepEqual(unplaced([image()], [volume(A)]), []);
    assert.deepEqual(unplaced([image(locations())], []), []);
    assert.equal(unplaced([image()], [volume(A), volume(B)]).length, 1);
    assert.equal(unplaced([image()], [volume(A, { status: 'error' })]).length, 1);
    const others = Array.from({ length: 100 }, (_, n) => image({ id: uuid(1000 + n) }));
    assert.deepEqual(unplaced(others, [volume(A)]), []);
    assert.equal(unplaced(others, []).length, 16);
  });
});

describe('listings that nobody promised to be well-formed', () => {
  const junk = fc.oneof(fc.anything(), fc.jsonValue(), fc.constant(null));
  const keys = [
    'id',
    'status',
    'size',
    'name',
    'metadata',
    'locations',
    'direct_url',
    'updated_at',
    'attachments',
  ];
  const spoiled = (good: Record<string, unknown>): fc.Arbitrary<unknown> =>
    fc.tuple(fc.constantFrom(...keys), junk).map(([key, value]) => ({ ...good, [key]: value }));

  it('never crash the join, and what is joined is sound', () => {
    const goodImage = { id: IMAGE, status: 'active', size: 5, updated_at: '2026-01-01T00:00:00Z' };
    const goodVolume = { id: A, status: 'available', size: 1, metadata: { glance_image_id: IMAGE } };
    assertProperty(
      fc.property(
        fc.array(fc.oneof(junk, spoiled(goodImage))),
        fc.array(fc.oneof(junk, spoiled(goodVolume))),
        (imageEntries, volumeEntries) => {
          const images = imageEntries.flatMap((entry) => imageOf(entry) ?? []);
          const volumes = volumeEntries.flatMap((entry) => volumeOf(entry) ?? []);
          const joined = joinCatalog({ images, volumes, lookedUp: new Map() });
          for (const [id, found] of joined.images) {
            assert.equal(found.id, id);
            assert.ok(Number.isSafeInteger(found.size) && found.size > 0);
            assert.match(found.volumeId, /^[0-9a-f-]{36}$/);
            assert.ok(!Number.isNaN(found.updatedAt.getTime()));
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('a location', () => {
  it('is cinder://VOLUME or cinder://STORE/VOLUME with a canonical id, and nothing else', () => {
    assert.deepEqual(parseLocation(`cinder://${A}`), { volumeId: A, storeId: undefined });
    assert.deepEqual(parseLocation(`cinder://fast/${A}`), { volumeId: A, storeId: 'fast' });
    const wrong = [
      `cinder://${A.toUpperCase()}`,
      `cinder://a/b/${A}`,
      `cinder:///${A}`,
      `cinder://s/${A}/`,
      `cinder://s/${A}?x`,
      `rbd://${A}`,
      ` cinder://${A}`,
      `cinder://s/../${A}`,
      'cinder://',
      '',
    ];
    for (const url of wrong) assert.equal(parseLocation(url), undefined, url);
  });
});
