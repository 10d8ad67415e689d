import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { reap } from '../../src/attach/cleanup/reap.js';
import { Watcher } from '../../src/attach/lifecycle/watcher.js';
import { CinderfsError } from '../../src/errors.js';
import type { CatalogImage, CatalogSnapshot } from '../../src/cinder/contract/catalog.js';
import type { AttachableImage, Lease } from '../../src/attach/contract/lease.js';
import { AttachWorld } from '../fakes/attach-world.js';
import { settle } from '../fakes/manual-clock.js';
import { rejectsWith } from './attach-testing.js';

const EVERY_MS = 30_000;

function codeOf({ fenced }: Lease): string | undefined {
  return CinderfsError.is(fenced.reason) ? fenced.reason.code : undefined;
}

function snapshotOf(
  ...images: readonly (AttachableImage & Pick<CatalogImage, 'locations'>)[]
): CatalogSnapshot {
  const entries = images.map((image) => [image.id, image as CatalogImage] as const);
  return { generation: 1, at: 0, images: new Map(entries) };
}

describe('watching what we hold', () => {
  it('fences an attachment that was removed from Cinder, and touches no other', async () => {
    const world = new AttachWorld();
    const watcher = new Watcher(world.pool, world.context, EVERY_MS);
    const first = await world.pool.acquire(world.addImage('v1'));
    const second = await world.pool.acquire(world.addImage('v2'));
    watcher.start();
    world.cinder.forceDelete(first.attachmentId);
    await world.clock.advance(EVERY_MS);
    assert.equal(codeOf(first), 'attachment_lost');
    assert.equal(second.fenced.aborted, false);
    assert.deepEqual([...world.host.devices.keys()], ['device-of-v2']);
    watcher.stop();
  });

  it('keeps everything while Cinder is silent, and looks again', async () => {
    const world = new AttachWorld();
    const watcher = new Watcher(world.pool, world.context, EVERY_MS);
    const lease = await world.pool.acquire(world.addImage('v1'));
    watcher.start();
    world.cinder.gate = () => Promise.resolve({ refuse: new CinderfsError('http_timeout', 'down') });
    await world.clock.advance(10 * EVERY_MS);
    assert.equal(lease.fenced.aborted, false);
    world.cinder.gate = () => Promise.resolve(undefined);
    world.cinder.forceDelete(lease.attachmentId);
    await world.clock.advance(EVERY_MS);
    assert.equal(codeOf(lease), 'attachment_lost');
    watcher.stop();
    assert.equal(world.clock.pending, 0);
  });

  it('serves the open files of an image that drops out of the listing, and keeps it for nobody else', async () => {
    const world = new AttachWorld();
    const watcher = new Watcher(world.pool, world.context, EVERY_MS);
    const [read, unread] = ['v1', 'v2'].map((volume) => world.addImage(volume));
    assert.ok(read && unread);
    const lease = await world.pool.acquire(read);
    (await world.pool.acquire(unread)).release();
    // Hidden, private, deactivated, deleted, a volume in error, an answer that was cut short: all look the same.
    watcher.review(snapshotOf());
    await settle();
    assert.equal(lease.fenced.aborted, false, 'the reader reads on');
    assert.deepEqual(
      [...world.host.devices.keys()],
      ['device-of-v1'],
      'what nobody reads is detached at once',
    );
    await world.clock.advance(10 * EVERY_MS);
    assert.equal(lease.fenced.aborted, false);
    lease.release();
    await settle();
    assert.deepEqual(world.leftovers(), [], 'it does not linger');
  });

  it('lets an image linger again that came back into the listing', async () => {
    const world = new AttachWorld();
    const watcher = new Watcher(world.pool, world.context, EVERY_MS);
    const image = world.addImage('v1');
    const lease = await world.pool.acquire(image);
    watcher.review(snapshotOf());
    watcher.review(snapshotOf(image));
    lease.release();
    assert.equal(world.pool.report()[0]?.state, 'lingering');
  });

  it('keeps the last error of an image that is not listed while its files are open', async () => {
    const world = new AttachWorld();
    const watcher = new Watcher(world.pool, world.context, EVERY_MS);
    const image = world.addImage('v1');
    const lease = await world.pool.acquire(image);
    world.pool.readFailed(image.id, new CinderfsError('read_failed', 'sector 7'));
    watcher.review(snapshotOf());
    assert.match(world.pool.lastError(image.id) ?? '', /sector 7/);
    lease.release();
    await settle();
    watcher.review(snapshotOf());
    assert.equal(world.pool.lastError(image.id), undefined);
  });

  it('fences an image of which Glance says that it is in another volume', async () => {
    const world = new AttachWorld();
    const watcher = new Watcher(world.pool, world.context, EVERY_MS);
    const image = world.addImage('v1');
    const lease = await world.pool.acquire(image);
    watcher.review(snapshotOf({ ...image, volumeId: 'v4', locations: ['v4'] }));
    await settle();
    assert.equal(codeOf(lease), 'image_changed');
    assert.deepEqual(world.leftovers(), []);
  });

  it('serves an image on that is listed at another of its volumes', async () => {
    const world = new AttachWorld();
    const watcher = new Watcher(world.pool, world.context, EVERY_MS);
    const image = world.addImage('v1');
    const lease = await world.pool.acquire(image);
    watcher.review(snapshotOf({ ...image, volumeId: 'v4', locations: ['v4', 'v1'] }));
    watcher.review(snapshotOf({ ...image, volumeId: 'v5' }));
    await settle();
    assert.equal(lease.fenced.aborted, false);
  });

  it('fences where Cinder says that the volume holds another image now', async () => {
    const world = new AttachWorld();
    const watcher = new Watcher(world.pool, world.context, EVERY_MS);
    const image = world.addImage('v1');
    const lease = await world.pool.acquire(image);
    world.cinder.claim('v1', 'another-image');
    watcher.review(snapshotOf());
    await settle();
    assert.equal(codeOf(lease), 'image_changed');
  });

  it('believes no 404 that Cinder contradicts', async () => {
    const world = new AttachWorld();
    const watcher = new Watcher(world.pool, world.context, EVERY_MS);
    const lease = await world.pool.acquire(world.addImage('v1'));
    const gone = new CinderfsError('not_found', 'a proxy does not know that path', { status: 404 });
    world.cinder.gate = (call) => Promise.resolve(call === 'show' ? { refuse: gone } : undefined);
    await watcher.look();
    assert.equal(lease.fenced.aborted, false, 'the volume lists the attachment');
    world.cinder.gate = () => Promise.resolve({ refuse: gone });
    await watcher.look();
    assert.equal(lease.fenced.aborted, false, 'nothing at all is found');
  });

  it('fences an image that moves while its volume is being attached, before anybody reads', async () => {
    const world = new AttachWorld();
    const watcher = new Watcher(world.pool, world.context, EVERY_MS);
    let go: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (go = resolve));
    world.cinder.gate = async (call) => {
      if (call === 'update') await gate;
      return undefined;
    };
    const image = world.addImage('v1');
    const opening = world.pool.acquire(image);
    await settle();
    watcher.review(snapshotOf({ ...image, volumeId: 'v4', locations: ['v4'] }));
    go();
    const lease = await opening;
    assert.equal(
      world.host.calls.filter((call) => call === 'connect').length,
      2,
      'attached anew for who still asks',
    );
    lease.release();
  });
});

describe('reaping', () => {
  it('names, then deletes, what says it is ours and no journal knows; nothing else', async () => {
    const world = new AttachWorld();
    const lease = await world.pool.acquire(world.addImage('v1'));
    world.addImage('v2');
    const of = (host: string): { mountpoint: string } => ({ mountpoint: `cinderfs:${host}:m` });
    const attach = async (host: string): Promise<string> => {
      const { id } = await world.cinder.create('v2');
      await world.cinder.update(id, { ...world.context.properties, ...of(host) });
      await world.cinder.complete(id);
      return id;
    };
    const [ours, dead, other] = [await attach('host-1'), await attach('dead'), await attach('alive')];
    const context = { ...world.context, properties: { ...world.context.properties, ...of('host-1') } };
    const named = await reap(context, { dryRun: true }, world.end.signal);
    assert.deepEqual(
      named.map(({ attachmentId, deleted }) => [attachmentId, deleted]),
      [[ours, false]],
    );
    await reap(context, { dryRun: false }, world.end.signal);
    await reap(context, { dryRun: false, deadHost: 'dead' }, world.end.signal);
    assert.deepEqual([...world.cinder.stored.keys()], [lease.attachmentId, other]);
    assert.ok(!world.cinder.stored.has(dead));
  });

  it('settles what a dead host never finished, once it has stayed long enough; not what moves on', async () => {
    const world = new AttachWorld();
    for (const volume of ['v1', 'v2', 'v3']) world.addImage(volume);
    const dead = [
      world.cinder.attachElsewhere('v1', 'reserved'),
      world.cinder.attachElsewhere('v2', 'attaching'),
    ];
    const alive = world.cinder.attachElsewhere('v3', 'reserved');
    const named = await reap(world.context, { dryRun: true, deadHost: 'dead' }, world.end.signal);
    assert.deepEqual(
      named.map(({ attachmentId }) => attachmentId),
      [...dead, alive],
    );
    const reaping = reap(world.context, { dryRun: false, deadHost: 'dead' }, world.end.signal);
    await world.clock.advance(30_000);
    await world.cinder.update(alive, world.context.properties);
    await world.clock.advance(60_000);
    assert.deepEqual(
      (await reaping).map(({ attachmentId }) => attachmentId),
      dead,
    );
    assert.deepEqual([...world.cinder.stored.keys()], [alive]);
    assert.equal(world.cinder.volumes.get('v1')?.status, 'available');
  });

  it('does not believe that this host is dead', async () => {
    const world = new AttachWorld();
    await rejectsWith('usage', reap(world.context, { dryRun: false, deadHost: 'host-1' }, world.end.signal));
  });
});
