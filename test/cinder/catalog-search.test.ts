import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { harness, listed, names, uuid, volumeOfImage } from './catalog-harness.js';
import { settle } from '../fakes/manual-clock.js';

describe('the catalog, of single images and limits', () => {
  it('finds one image by its id or name, without a listing, and keeps it when a listing under way missed it', async (t) => {
    const { catalog, clock, listing } = harness(t);
    await catalog.start();
    let open = (): void => undefined;
    listing.gate = new Promise((resolve) => (open = resolve));
    await clock.advance(60_000);
    assert.equal(listing.lists, 2, 'one is under way, and has only the first image');
    listing.images = [listed(1), listed(2), listed(3)];
    await catalog.find({ id: uuid(2) });
    await catalog.find({ names: ['image-3~x', 'image-3'] });
    assert.deepEqual(names(catalog.snapshot), ['image-1', 'image-2', 'image-3']);
    assert.deepEqual(listing.asked, [uuid(2), 'image-3~x', 'image-3']);
    open();
    await settle();
    await settle();
    assert.equal(catalog.snapshot.images.size, 3);
    assert.equal(listing.lists, 2);
    listing.gate = Promise.resolve();
    listing.images = [listed(1)];
    await clock.advance(60_000);
    await clock.advance(60_000);
    assert.deepEqual(names(catalog.snapshot), ['image-1'], 'what a later listing does not have is gone');
  });

  it('asks for unknown images at a rate that is bounded in all, whoever asks for how many', async (t) => {
    const { catalog, clock, listing } = harness(t);
    await catalog.start();
    for (let n = 0; n < 1000; n++) await catalog.find({ id: uuid(0x9000 + n) });
    assert.equal(listing.asked.length, 10, 'a burst, and no more');
    await Promise.all(Array.from({ length: 100 }, () => catalog.find({ id: uuid(0x9000) })));
    assert.equal(listing.asked.length, 10, 'what was asked is not asked again');
    for (let second = 0; second < 600; second++) {
      await clock.advance(1000);
      await catalog.find({ id: uuid(0xa000 + second) });
    }
    const many: number = listing.asked.length;
    assert.ok(many <= 10 + 600 / 5, `${many} in ten minutes`);
    assert.ok(many >= 100, `${many}: it goes on being asked`);
    assert.ok(listing.lists <= 11, 'no listing was made for it');
    await clock.advance(600_000);
    const before = listing.asked.length;
    await catalog.find({ id: uuid(0x9000) });
    assert.equal(listing.asked.length, before + 1, 'after a while it is asked again');
  });

  it('ends a listing that takes for ever, not only the wait for it', async (t) => {
    const { catalog, clock, listing } = harness(t);
    await catalog.start();
    listing.gate = new Promise(() => undefined);
    const ended: unknown[] = [];
    listing.onSignal = (signal) => signal.addEventListener('abort', () => ended.push(signal.reason));
    await clock.advance(60_000);
    assert.deepEqual(ended, []);
    await clock.advance(300_000);
    assert.equal(ended.length, 1);
    await settle();
    assert.equal(catalog.health.lastError?.code, 'http_timeout');
  });

  it('is refreshed more rarely when that takes long', async (t) => {
    const { catalog, clock, listing } = harness(t);
    await catalog.start();
    let open = (): void => undefined;
    listing.gate = new Promise((resolve) => (open = resolve));
    await clock.advance(60_000);
    await clock.advance(30_000);
    open();
    listing.gate = Promise.resolve();
    await settle();
    await clock.advance(119_000);
    assert.equal(listing.lists, 2, 'it took 30 s: four times that is the interval');
    await clock.advance(2000);
    assert.equal(listing.lists, 3);
  });

  it('says once what it does not serve, and counts it', async (t) => {
    const { catalog, clock, listing, said } = harness(
      t,
      [1, 2, 3].map((n) => listed(n)),
    );
    listing.volumes = [volumeOfImage(1, 0x1001), volumeOfImage(99, 0x1002)];
    await catalog.start();
    await clock.advance(180_000);
    assert.deepEqual(names(catalog.snapshot), ['image-1']);
    assert.equal(catalog.health.refused, 2);
    assert.equal(said.filter((line) => line.includes('not served')).length, 2, said.join('\n'));
  });
});
