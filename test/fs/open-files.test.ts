import assert from 'node:assert/strict';
import { readdir, readlink, rename, truncate, writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { CinderfsError } from '../../src/errors.js';
import { ROOT_NODE } from '../../src/fs/contract/filesystem.js';
import { ManualClock } from '../fakes/manual-clock.js';
import { FakeNbdServer } from '../fakes/fs-nbd-server.js';
import { makeWorld } from '../conformance/world.js';
import type { World, WorldImage } from '../conformance/world.js';
import { eventually } from '../support/eventually.js';

const O_RDONLY = 0;

async function nodeOf({ filesystem }: World, { image }: WorldImage): Promise<number> {
  return (await filesystem.lookup(ROOT_NODE, image.id)).node;
}

describe('open files', () => {
  it('give the lease back when the opener leaves while the volume is being attached', async (t) => {
    const world = await makeWorld(t);
    const letThrough = world.pool.holdBack();
    const leaving = new AbortController();
    const opening = world.filesystem.open(await nodeOf(world, world.raw), O_RDONLY, {
      signal: leaving.signal,
    });
    leaving.abort();
    await assert.rejects(opening, errno('EINTR'));
    letThrough();
    await turn();
    assert.deepEqual([world.pool.leases, world.filesystem.openFiles], [0, 0]);
  });

  it('give the lease back when the opener leaves while the source is being opened', async (t) => {
    const world = await makeWorld(t);
    await world.nbdServer.close();
    const { source } = world.nbd;
    assert.ok(source.kind === 'nbd');
    // A server that takes connections and never says a word.
    const mute = await FakeNbdServer.listen({ socket: source.socket, data: world.nbd.bytes, connections: 0 });
    world.undo.after(() => mute.close());
    const leaving = new AbortController();
    const opening = world.filesystem.open(await nodeOf(world, world.nbd), O_RDONLY, {
      signal: leaving.signal,
    });
    while (mute.connections === 0) await turn();
    leaving.abort();
    await assert.rejects(opening, errno('EINTR'));
    assert.deepEqual([world.pool.leases, world.filesystem.openFiles], [0, 0]);
  });

  it('end a read at its deadline with ETIMEDOUT, and read again afterwards', async (t) => {
    const clock = new ManualClock();
    const world = await makeWorld(t, { readTimeoutMs: 30_000 }, clock);
    const { image, bytes } = world.hung;
    const file = await world.filesystem.open(await nodeOf(world, world.hung), O_RDONLY);
    const reading = world.filesystem.read(file.handle, 0, 4096);
    const ended = assert.rejects(reading, errno('ETIMEDOUT', image.id));
    while (world.hungServer.held === 0) await turn();
    await clock.advance(30_000);
    await ended;
    world.hungServer.letGo();
    assert.ok((await world.filesystem.read(file.handle, 0, 4096)).equals(bytes.subarray(0, 4096)));
    world.filesystem.release(file.handle);
    assert.equal(world.pool.leases, 0);
  });

  it('end a read when its caller leaves', async (t) => {
    const world = await makeWorld(t);
    const file = await world.filesystem.open(await nodeOf(world, world.hung), O_RDONLY);
    const leaving = new AbortController();
    const reading = world.filesystem.read(file.handle, 0, 4096, { signal: leaving.signal });
    leaving.abort();
    await assert.rejects(reading, errno('EINTR'));
    world.filesystem.release(file.handle);
  });

  it('are not handed out when the volume was fenced while its source was being opened', async (t) => {
    const world = await makeWorld(t);
    const node = await nodeOf(world, world.raw);
    const opening = world.filesystem.open(node, O_RDONLY);
    // The lease is there, the source not yet.
    while (world.pool.leases === 0) await Promise.resolve();
    world.pool.fence(world.raw.image.volumeId);
    await assert.rejects(opening, errno('ESTALE'));
    assert.deepEqual([world.pool.leases, world.filesystem.openFiles], [0, 0]);
  });

  it('tell their attributes and their last error when the image is not listed any more', async (t) => {
    const world = await makeWorld(t);
    const node = await nodeOf(world, world.raw);
    const file = await world.filesystem.open(node, O_RDONLY);
    world.catalog.set([]);
    const state = await world.filesystem.getxattr(node, 'user.cinderfs.image_id');
    assert.equal(state.toString(), world.raw.image.id);
    world.filesystem.release(file.handle);
    await assert.rejects(world.filesystem.listxattr(node), errno('ENOENT'));
  });

  it('answer EBADF after release, and take a second release without harm', async (t) => {
    const world = await makeWorld(t);
    const file = await world.filesystem.open(await nodeOf(world, world.raw), O_RDONLY);
    world.filesystem.release(file.handle);
    world.filesystem.release(file.handle);
    assert.equal(world.pool.leases, 0);
    await assert.rejects(world.filesystem.read(file.handle, 0, 1), errno('EBADF'));
    const again = await world.filesystem.open(await nodeOf(world, world.raw), O_RDONLY);
    assert.notEqual(again.handle, file.handle);
    world.filesystem.release(again.handle);
  });

  it('refuse every flag that asks for more than reading', async (t) => {
    const world = await makeWorld(t);
    const node = await nodeOf(world, world.raw);
    for (const flags of [0o1, 0o2, 0o100, 0o1000, 0o2001]) {
      await assert.rejects(world.filesystem.open(node, flags), errno('EROFS'), flags.toString(8));
    }
    await assert.rejects(world.filesystem.open(ROOT_NODE, O_RDONLY), errno('EISDIR'));
    assert.equal(world.pool.acquires, 0);
  });

  it('refuse a source that is shorter than its image', async (t) => {
    const world = await makeWorld(t);
    const longer = { ...world.raw.image, size: world.raw.bytes.length + 100_000 };
    world.catalog.set([longer]);
    await assert.rejects(
      world.filesystem.open(await nodeOf(world, world.raw), O_RDONLY),
      errno('EIO', longer.id, /ends at byte/),
    );
    assert.equal(world.pool.leases, 0);
  });

  it('open no source that their transport reads itself, until they are asked to read', async (t) => {
    const world = await makeWorld(t);
    const { source, bytes } = world.raw;
    assert.ok(source.kind === 'file');
    const opens = (): Promise<number> => descriptorsOf(source.path);
    const file = await world.filesystem.open(await nodeOf(world, world.raw), O_RDONLY, { readsItself: true });
    assert.equal(await opens(), 0);
    assert.ok((await world.filesystem.read(file.handle, 1, 99)).equals(bytes.subarray(1, 100)));
    assert.equal(await opens(), 1);
    world.filesystem.release(file.handle);
    await eventually('it is closed', async () => ((await opens()) === 0 ? true : undefined));
    assert.equal(world.pool.leases, 0);
  });

  it('are let go for good when their transport cannot open the source', async (t) => {
    const world = await makeWorld(t);
    const file = await world.filesystem.open(await nodeOf(world, world.raw), O_RDONLY, { readsItself: true });
    world.filesystem.readFailed(file.handle, new CinderfsError('read_failed', 'cannot open it'));
    world.filesystem.release(file.handle);
    assert.equal(world.pool.evictions, 1);
  });

  it('are let go for good when a source that is opened late turns out to be short', async (t) => {
    const world = await makeWorld(t);
    world.catalog.set([{ ...world.raw.image, size: world.raw.bytes.length + 100_000 }]);
    const file = await world.filesystem.open(await nodeOf(world, world.raw), O_RDONLY, { readsItself: true });
    await assert.rejects(world.filesystem.read(file.handle, 0, 10), errno('EIO', world.raw.image.id));
    world.filesystem.release(file.handle);
    assert.equal(world.pool.evictions, 1);
  });

  it('wait for a connection that was lost and read on through the new one', async (t) => {
    const world = await makeWorld(t);
    const { image, bytes, source } = world.raw;
    assert.ok(source.kind === 'file');
    const file = await world.filesystem.open(await nodeOf(world, world.raw), O_RDONLY);
    // The device that was opened holds nothing any more; another one takes its place.
    await truncate(source.path);
    await rename(source.path, `${source.path}.gone`);
    const connectAgain = world.pool.loseConnection(image.volumeId);
    const reading = Promise.all([0, 4096].map((offset) => world.filesystem.read(file.handle, offset, 4096)));
    await writeFile(source.path, bytes);
    connectAgain();
    assert.ok(Buffer.concat(await reading).equals(bytes.subarray(0, 8192)));
    world.filesystem.release(file.handle);
    assert.deepEqual([world.pool.leases, world.pool.acquires], [0, 1]);
  });

  it('hand on no byte of a device that became another volume while it was read', async (t) => {
    const world = await makeWorld(t);
    const { image, bytes, source } = world.raw;
    Object.assign(source, { kind: 'device', identityTag: '0300106001405' });
    const file = await world.filesystem.open(await nodeOf(world, world.raw), O_RDONLY);
    assert.ok((await world.filesystem.read(file.handle, 0, 4096)).equals(bytes.subarray(0, 4096)));
    assert.equal(world.pool.proofs, 1);
    world.pool.swap(image.volumeId);
    await assert.rejects(world.filesystem.read(file.handle, 4096, 4096), errno('ESTALE', image.id));
    assert.equal(file.fenced.aborted, true);
    world.filesystem.release(file.handle);
  });

  it('drop what was cached of a volume that did not prove to be itself', async (t) => {
    const world = await makeWorld(t);
    const node = await nodeOf(world, world.nbd);
    const readFirst = async (): Promise<number> => {
      const file = await world.filesystem.open(node, O_RDONLY);
      await world.filesystem.read(file.handle, 0, 1 << 20);
      world.filesystem.release(file.handle);
      return world.nbdServer.reads.length;
    };
    assert.equal(await readFirst(), await readFirst(), 'served from the cache');
    const before = world.nbdServer.reads.length;
    const acquire = world.pool.acquire.bind(world.pool);
    world.pool.acquire = () => Promise.reject(new CinderfsError('identity_mismatch', 'another LUN'));
    await assert.rejects(world.filesystem.open(node, O_RDONLY), errno('ESTALE'));
    world.pool.acquire = acquire;
    assert.ok((await readFirst()) > before, 'read again');
  });

  it('take 32 readers of one image to the source once', async (t) => {
    const world = await makeWorld(t);
    const node = await nodeOf(world, world.nbd);
    const { bytes } = world.nbd;
    const readers = Array.from({ length: 32 }, async () => {
      const file = await world.filesystem.open(node, O_RDONLY);
      for (let offset = 0; offset < bytes.length; offset += 128 << 10) {
        const part = await world.filesystem.read(file.handle, offset, 128 << 10);
        assert.ok(part.equals(bytes.subarray(offset, offset + (128 << 10))));
      }
      world.filesystem.release(file.handle);
    });
    await Promise.all(readers);
    const taken = world.nbdServer.reads.reduce((sum, [, length]) => sum + length, 0);
    assert.ok(taken <= bytes.length * 1.05, `${taken} bytes taken for ${bytes.length}`);
  });

  it('read no whole block for a small random read, until pieces have cost as much', async (t) => {
    const world = await makeWorld(t);
    const file = await world.filesystem.open(await nodeOf(world, world.nbd), O_RDONLY);
    const sizes = async (): Promise<number[]> => {
      world.nbdServer.reads.length = 0;
      await world.filesystem.read(file.handle, 512 << 10, 5000);
      return world.nbdServer.reads.map(([, length]) => length);
    };
    assert.deepEqual([await sizes(), await sizes(), await sizes()], [[8192], [8192], [8192]]);
    assert.deepEqual([await sizes(), await sizes()], [[1 << 20], []]);
    world.filesystem.release(file.handle);
  });
});

/** A CinderfsError of that errno, about that image. */
function errno(name: string, image?: string, message = /./): (error: unknown) => boolean {
  return (error) =>
    CinderfsError.is(error) &&
    error.errno === name &&
    (image === undefined || error.context.image === image) &&
    message.test(error.message);
}

/** How many descriptors of this process are open on `path`. */
async function descriptorsOf(path: string): Promise<number> {
  const all = await readdir('/proc/self/fd');
  const links = await Promise.all(all.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
  return links.filter((link) => link === path).length;
}
