import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Clock } from '../../src/async/clock.js';
import { Pool } from '../../src/attach/lifecycle/pool.js';
import { CinderfsError } from '../../src/errors.js';
import { AttachWorld } from '../fakes/attach-world.js';
import { settle } from '../fakes/manual-clock.js';
import { broken, count, once, rejectsWith, timeout } from './attach-testing.js';

describe('a failed attach', () => {
  it('refuses a volume in error without reserving it', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const volume = world.cinder.volumes.get('v1');
    assert.ok(volume);
    volume.status = 'error_extending';
    assert.match((await rejectsWith('attach_refused', world.pool.acquire(image))).message, /error_extending/);
    assert.equal(count(world, 'create'), 0);
  });

  it('leaves no reservation when the driver fails, and keeps the request id', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    world.cinder.gate = (call) => Promise.resolve(call === 'update' ? broken() : undefined);
    const error = await rejectsWith('attach_refused', world.pool.acquire(image));
    assert.equal(error.context.requestId, 'req-1');
    assert.deepEqual(world.leftovers(), []);
    assert.equal(world.cinder.volumes.get('v1')?.status, 'available');
  });

  it('disconnects and deletes when the host fails', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    world.host.gate = (call) =>
      Promise.resolve(call === 'connect' ? new CinderfsError('connector_failed', 'no route') : undefined);
    await rejectsWith('connector_failed', world.pool.acquire(image));
    assert.deepEqual(world.leftovers(), []);
  });

  it('is tried anew by the next opener', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    once(world, 'complete', broken());
    await rejectsWith('attach_refused', world.pool.acquire(image));
    const lease = await world.pool.acquire(image);
    assert.equal(world.pool.lastError(image.id), undefined);
    lease.release();
  });

  it('goes on deleting in the background while Cinder refuses, and the next opener waits for that', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    let down = true;
    world.cinder.gate = (call) =>
      Promise.resolve(down && (call === 'update' || call === 'delete') ? broken() : undefined);
    const failed = rejectsWith('attach_refused', world.pool.acquire(image));
    await world.clock.advance(10_000);
    await failed;
    assert.equal(world.leftovers().length, 2); // the attachment and its record
    down = false;
    const opening = world.pool.acquire(image);
    await world.clock.advance(60_000);
    const lease = await opening;
    assert.equal(world.cinder.stored.size, 1);
    lease.release();
  });
});

describe('a busy volume', () => {
  it('is asked for again while another host is between reserve and complete', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const other = world.cinder.attachElsewhere('v1', 'attaching');
    const opening = world.pool.acquire(image);
    await world.clock.advance(5_000);
    assert.ok(count(world, 'create') > 2);
    await world.cinder.complete(other);
    await world.clock.advance(10_000);
    (await opening).release();
    assert.ok(world.cinder.stored.has(other));
  });

  it('is volume_busy when the budget is spent, and nothing of ours is left', async () => {
    const world = new AttachWorld({ attachBudgetMs: 20_000 });
    const image = world.addImage('v1', { multiattach: false });
    const other = world.cinder.attachElsewhere('v1', 'attached');
    const opening = rejectsWith('volume_busy', world.pool.acquire(image));
    await world.clock.advance(20_000);
    await opening;
    assert.deepEqual(world.leftovers(), [other]);
  });
});

describe('a reservation whose answer was lost', () => {
  it('is found by listing after it stayed untouched, and used by the same open', async () => {
    const world = new AttachWorld({ orphanMs: 30_000 });
    const image = world.addImage('v1');
    once(world, 'create', timeout());
    const opening = world.pool.acquire(image);
    await world.clock.advance(6_000);
    const [made] = [...world.cinder.stored.keys()];
    await world.clock.advance(30_000);
    assert.equal((await opening).attachmentId, made);
    assert.equal(world.cinder.stored.size, 1);
  });

  it('is found by listing and removed where the budget does not last that long', async () => {
    const world = new AttachWorld({ orphanMs: 30_000, openMs: 6_000 });
    const image = world.addImage('v1');
    once(world, 'create', timeout());
    const opening = rejectsWith('attach_timeout', world.pool.acquire(image));
    await world.clock.advance(6_000);
    await opening;
    await world.clock.advance(100_000);
    assert.deepEqual(world.leftovers(), []);
  });

  it('is removed in the end though the process is killed every few seconds', async () => {
    const world = new AttachWorld({ orphanMs: 30_000 });
    const image = world.addImage('v1');
    once(world, 'create', timeout());
    const first = beginLife(world);
    first.pool.acquire(image).catch(() => undefined);
    await settle();
    first.end();
    for (let lives = 1; lives <= 12; lives++) {
      const { end } = beginLife(world);
      await world.clock.advance(3_000);
      end();
    }
    assert.deepEqual(world.leftovers(), []);
  });

  /** Another process on the same journal, until its end. */
  function beginLife({ context, clock, journal, end }: AttachWorld): { pool: Pool; end: () => void } {
    const life = { over: false };
    const mortal: Clock = {
      now: () => clock.now(),
      wall: () => clock.wall(),
      uptime: () => clock.uptime(),
      after: (ms, callback) => clock.after(ms, () => !life.over && callback()),
    };
    const pool = new Pool({ ...context, clock: mortal }, end.signal);
    pool.recover(journal.list());
    return { pool, end: () => void (life.over = true) };
  }

  it('is not confused with one that another host makes and completes meanwhile', async () => {
    const world = new AttachWorld({ orphanMs: 30_000 });
    const image = world.addImage('v1');
    once(world, 'create', { refuse: new CinderfsError('http_timeout', 'never reached Cinder') });
    const opening = world.pool.acquire(image);
    await world.clock.advance(6_000);
    const other = world.cinder.attachElsewhere('v1', 'reserved');
    await world.clock.advance(10_000);
    await world.cinder.complete(other);
    await world.clock.advance(60_000);
    (await opening).release({ evict: true });
    await world.clock.advance(1_000);
    assert.deepEqual(world.leftovers(), [other]);
  });

  it('is not confused with one that was there before', async () => {
    const world = new AttachWorld({ orphanMs: 30_000, openMs: 300_000 });
    const image = world.addImage('v1');
    const dead = world.cinder.attachElsewhere('v1', 'reserved');
    once(world, 'create', { refuse: new CinderfsError('http_timeout', 'never reached Cinder') });
    const opening = rejectsWith('volume_busy', world.pool.acquire(image));
    await world.clock.advance(130_000);
    await opening;
    assert.deepEqual(world.leftovers(), [dead]);
  });
});
