import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { ImageCatalog } from '../../src/cinder/catalog/catalog.js';
import { imageOf, type ListedImage } from '../../src/cinder/glance/images.js';
import type { VolumeLocation } from '../../src/cinder/glance/location.js';
import type { Volume } from '../../src/cinder/contract/volumes.js';
import type { CatalogSnapshot } from '../../src/cinder/contract/catalog.js';
import { volumeOf } from '../../src/cinder/volumes/volumes.js';
import { CinderfsError } from '../../src/errors.js';
import { silentLog, type Log } from '../../src/log.js';
import { ManualClock, settle } from '../fakes/manual-clock.js';

export const uuid = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;

export function listed(n: number, changes: Record<string, unknown> = {}): ListedImage {
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

/** A volume of our project that says it holds image `n`. */
export function volumeOfImage(n: number, id: number, status = 'available'): Volume {
  const metadata = { glance_image_id: uuid(n), image_size: String(1000 + n) };
  const volume = volumeOf({ id: uuid(id), status, size: 1, metadata });
  assert.ok(volume !== undefined);
  return volume;
}

/** Glance and Cinder as the catalog sees them, under the test's thumb. */
export class FakeListing {
  images: ListedImage[] = [];
  volumes: Volume[] = Array.from({ length: 9 }, (_, n) => volumeOfImage(n, 0x1000 + n));
  asked: string[] = [];
  found = new Map<string, VolumeLocation[]>();
  error: Error | undefined;
  /** What lookups of locations fail with. */
  refused: Error | undefined;
  lists = 0;
  lookups: string[] = [];
  onSignal: (signal: AbortSignal) => void = () => undefined;
  /** Holds listings up until it resolves. */
  gate: Promise<void> = Promise.resolve();

  async list({ signal }: { signal?: AbortSignal | undefined } = {}): Promise<readonly ListedImage[]> {
    this.lists++;
    const { images, error } = this;
    if (signal !== undefined) this.onSignal(signal);
    const aborted = new Promise((_, reject) =>
      signal?.addEventListener('abort', () => reject(signal.reason as Error)),
    );
    await Promise.race([this.gate, aborted]);
    signal?.throwIfAborted();
    if (error !== undefined) throw error;
    return images;
  }

  show(id: string): Promise<ListedImage | undefined> {
    this.asked.push(id);
    return this.error === undefined
      ? Promise.resolve(this.images.find((image) => image.id === id))
      : Promise.reject(this.error);
  }

  named(name: string): Promise<readonly ListedImage[]> {
    this.asked.push(name);
    return Promise.resolve(this.images.filter((image) => image.name === name));
  }

  async locations(id: string): Promise<readonly VolumeLocation[] | undefined> {
    this.lookups.push(id);
    await settle();
    if (this.refused !== undefined) throw this.refused;
    return this.found.get(id);
  }
}

export interface Harness {
  readonly catalog: ImageCatalog;
  readonly clock: ManualClock;
  readonly listing: FakeListing;
  readonly said: string[];
}

export function harness(t: TestContext, images: ListedImage[] = [listed(1)]): Harness {
  const clock = new ManualClock();
  const listing = new FakeListing();
  listing.images = images;
  const said: string[] = [];
  const say = (level: string) => (_: object, message: string) => void said.push(`${level}: ${message}`);
  const log: Log = { ...silentLog, info: say('info'), warn: say('warn'), error: say('error') };
  const catalog = new ImageCatalog({
    images: listing,
    volumes: {
      list: () => Promise.resolve(listing.volumes),
      claiming: (id) =>
        Promise.resolve(listing.volumes.filter(({ metadata }) => metadata.glance_image_id === id)),
    },
    clock,
    log,
    ttlMs: 60_000,
    minRefreshIntervalMs: 2000,
  });
  t.after(() => catalog.stop());
  return { catalog, clock, listing, said };
}

export const names = (snapshot: CatalogSnapshot): string[] =>
  [...snapshot.images.values()].map(({ name }) => name);
export const down = new CinderfsError('http_failed', 'Glance: GET /v2/images answered 503', {
  requestId: 'req-1',
});
