import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ImageHeads, type ImageSafety } from '../../src/attach/head/image-heads.js';
import type { AttachableImage } from '../../src/attach/contract/lease.js';
import { Pool } from '../../src/attach/lifecycle/pool.js';
import { silentLog } from '../../src/log.js';
import { AttachWorld } from '../fakes/attach-world.js';
import { marked, qcow2 } from './crafted-images.js';

function scene(
  content: Buffer,
  safety: ImageSafety,
  diskFormat = 'qcow2',
): { world: AttachWorld; pool: Pool; image: AttachableImage; reads: () => number } {
  const world = new AttachWorld();
  const plain = world.addImage('v1');
  world.host.content.set('v1', content);
  const log = { ...silentLog, warn: (...line: unknown[]) => void warned.push(line) };
  const warned: unknown[] = [];
  const heads = new ImageHeads({ safety, lookMs: 60_000, clock: world.clock, log });
  const pool = new Pool({ ...world.context, heads }, world.end.signal);
  const reads = (): number => world.host.calls.filter((call) => call === 'read').length;
  return { world, pool, image: { ...plain, size: content.length, diskFormat }, reads };
}

describe('an image before its first lease', () => {
  it('is refused where it leads elsewhere, and nothing is attached for the next opener', async () => {
    const { world, pool, image } = scene(qcow2({ backing: '/etc/shadow' }), 'refuse');
    await assert.rejects(pool.acquire(image), { code: 'image_unsafe', errno: 'EPERM' });
    assert.match(pool.safety(image.id) ?? '', /^unsafe: it has a backing file$/);
    assert.match(pool.lastError(image.id) ?? '', /image_unsafe/);
    const connects = (): number => world.host.calls.filter((call) => call === 'connect').length;
    assert.equal(connects(), 1);
    await assert.rejects(pool.acquire(image), { code: 'image_unsafe' });
    assert.equal(connects(), 1);
  });

  it('is served with --image-safety=warn, and says so', async () => {
    const { pool, image } = scene(qcow2(), 'warn', 'raw');
    (await pool.acquire(image)).release();
    assert.equal(pool.safety(image.id), 'unsafe: it is qcow2, not raw');
  });

  it('is not looked at with --image-safety=off', async () => {
    const { pool, image } = scene(qcow2({ features: [2] }), 'off', 'raw');
    (await pool.acquire(image)).release();
    assert.equal(pool.safety(image.id), undefined);
  });

  it('is looked at once, whoever else opens it and when', async () => {
    const { pool, image, reads } = scene(marked(), 'refuse', 'raw');
    const leases = await Promise.all([pool.acquire(image), pool.acquire(image), pool.acquire(image)]);
    assert.equal(pool.safety(image.id), 'safe: raw');
    const before = reads();
    leases.push(await pool.acquire(image));
    assert.equal(reads(), before, 'within the time that a proof is good for nothing is read again');
    for (const lease of leases) lease.release();
  });

  it('is looked at again when Glance says something else of it', async () => {
    const { pool, image } = scene(qcow2(), 'refuse');
    (await pool.acquire(image)).release();
    assert.equal(pool.safety(image.id), 'safe: qcow2');
    await assert.rejects(pool.acquire({ ...image, diskFormat: 'raw' }), { code: 'image_unsafe' });
  });
});
