/** Images that Glance is still hashing: whoever takes their volume first robs them of their checksum for ever. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { AttachableImage } from '../../src/attach/contract/lease.js';
import type { ImageState } from '../../src/cinder/contract/images.js';
import { startDevcloud } from '../../devcloud/devcloud.js';
import { CinderfsError } from '../../src/errors.js';
import { AttachWorld } from '../fakes/attach-world.js';
import { settle } from '../fakes/manual-clock.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/temporary.js';
import { stayAwake } from '../support/time.js';
import { Undo } from '../support/undo.js';
import { rejectsWith } from './attach-testing.js';
import { poolOnCloud } from './pool-on-cloud.js';

const MINUTE_MS = 60_000;

interface Scene {
  readonly world: AttachWorld;
  readonly image: AttachableImage;
  /** As long as Glance hashes it. */
  readonly hashing: ImageState;
  readonly hashed: ImageState;
}

function scene(openMs = 120_000, changed: Partial<AttachableImage> = {}): Scene {
  const world = new AttachWorld({ openMs, lingerMs: 0 });
  const updatedAt = new Date(world.clock.wall());
  const made = world.addImage('v1', { multiattach: false });
  const image = { ...made, hashAlgorithm: 'sha512', updatedAt, ...changed };
  const hashing = { status: 'active', updatedAt, hashAlgorithm: 'sha512', hashValue: undefined };
  const hashValue = createHash('sha512')
    .update(world.host.content.get('v1') ?? '')
    .digest('hex');
  const hashed = { ...hashing, hashValue };
  world.glance.states.set(image.id, hashing);
  return { world, image, hashing, hashed };
}

const reserved = ({ cinder }: AttachWorld): number => cinder.stored.size;

describe('an image that Glance is still hashing', () => {
  it('is attached as soon as it has its hash, and is proven by it', async () => {
    const { world, image, hashed } = scene();
    const opening = world.pool.acquire(image);
    await world.clock.advance(5_000);
    assert.equal(reserved(world), 0, 'Glance can have the volume');
    world.glance.states.set(image.id, hashed);
    await world.clock.advance(1_000);
    (await opening).release();
    await settle();
    assert.equal(world.pins.get('v1')?.hash, `sha512:${hashed.hashValue}`);
    assert.deepEqual(world.leftovers(), []);
  });

  it('is not attached when the open ends before, and the error says what it waited for', async () => {
    const { world, image } = scene(30_000);
    const opening = rejectsWith('attach_timeout', world.pool.acquire(image));
    await world.clock.advance(29_999);
    assert.equal(reserved(world), 0);
    await world.clock.advance(1);
    assert.match((await opening).toLine(), /Glance is computing the hash of image .*os_hash_value/);
    await settle();
    assert.equal(world.clock.pending, 0, 'nothing goes on asking');
    assert.match(world.pool.lastError(image.id) ?? '', /hash/);
  });

  for (const [when, clockAheadMs] of [
    ['ten minutes after its last change', 0],
    ["ten minutes after it was first opened, where Glance's clock is ahead", 60 * MINUTE_MS],
  ] as const)
    it(`is attached without a hash ${when}`, async () => {
      const { world, image, hashing } = scene(60 * MINUTE_MS);
      const updatedAt = new Date(world.clock.wall() + clockAheadMs);
      world.glance.states.set(image.id, { ...hashing, updatedAt });
      const opening = world.pool.acquire({ ...image, updatedAt });
      await world.clock.advance(10 * MINUTE_MS - 2_000);
      assert.equal(reserved(world), 0);
      await world.clock.advance(3_000);
      (await opening).release();
      await settle();
      // Nor is it waited for again.
      const { asked } = world.glance;
      (await world.pool.acquire({ ...image, updatedAt })).release();
      assert.equal(world.glance.asked, asked);
    });

  it('is waited for while Glance cannot be asked: that proves nothing', async () => {
    const { world, image, hashed } = scene();
    world.glance.states.set(image.id, new CinderfsError('http_failed', 'Glance answered 503'));
    const opening = world.pool.acquire(image);
    await world.clock.advance(30_000);
    assert.equal(reserved(world), 0);
    world.glance.states.set(image.id, hashed);
    await world.clock.advance(1_000);
    (await opening).release();
  });

  it('makes one question a second, however many open it', async () => {
    const { world, image, hashed } = scene();
    const openings = Array.from({ length: 20 }, () => world.pool.acquire(image));
    await world.clock.advance(10_000);
    assert.ok(world.glance.asked <= 11, `${world.glance.asked} questions`);
    world.glance.states.set(image.id, hashed);
    await world.clock.advance(1_000);
    for (const lease of await Promise.all(openings)) lease.release();
  });

  it('keeps neither an opener that leaves nor a mount that ends', async () => {
    const { world, image } = scene();
    const left = new AbortController();
    const opening = rejectsWith('interrupted', world.pool.acquire(image, { signal: left.signal }));
    await settle();
    left.abort();
    await opening;
    const other = rejectsWith('draining', world.pool.acquire(image));
    await settle();
    await world.pool.drain({ deadlineMs: 1_000 });
    await other;
    assert.deepEqual(world.leftovers(), []);
  });

  for (const [what, changed] of [
    ['several hosts may attach', { multiattach: true }],
    ['has no hash at all', { hashAlgorithm: undefined }],
    ['has its hash', { hashValue: 'c0ffee' }],
    ['was changed ten minutes ago', { updatedAt: new Date(1_800_000_000_000 - 10 * MINUTE_MS) }],
  ] as const)
    it(`is not one that ${what}`, async () => {
      const { world, image } = scene(120_000, changed);
      const opening = world.pool.acquire(image).then(
        (lease) => lease.release(),
        () => undefined,
      );
      await settle();
      assert.equal(world.glance.asked, 0);
      await opening;
    });

  it('keeps its checksum: Glance gets the volume before we do', async (t) => {
    const undo = new Undo(t);
    stayAwake(undo);
    const folder = await temporaryFolder(undo);
    const cloud = await startDevcloud({ dir: join(folder, 'cloud') });
    undo.after(() => cloud.close());
    const data = Buffer.from('bytes that Glance has not hashed yet');
    const spec = { name: 'fresh', multiattach: false, hashAlgorithm: 'sha512', hashValue: null };
    const { id } = await cloud.addImage(spec, { data });
    const pool = await poolOnCloud(cloud.env, folder);
    undo.after(() => pool.close());
    const { images } = await pool.openstack.catalog.refresh();
    const opening = pool.service.acquire(images.get(id) ?? assert.fail('it is listed'), {});
    await eventually('Glance is asked', async () =>
      Promise.resolve(
        cloud.requests.entries.some(({ resource }) => resource === `/images/${id}`) || undefined,
      ),
    );
    const value = createHash('sha512').update(data).digest('hex');
    assert.equal(cloud.adminFaults.finishHash(id, value), true);
    (await opening).release();
    await pool.service.drain({ deadlineMs: 20_000 });
  });
});
