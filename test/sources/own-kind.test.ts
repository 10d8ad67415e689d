/** A kind of source that only this test has, registered beside those of the product, on real mounts. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import type { MountTransport } from '../../src/fs/contract/transport.js';
import { createImageFs } from '../../src/fs/create-image-fs.js';
import { mountNative } from '../../src/fs/fuse-native/mount-native.js';
import { mountEngine } from '../../src/fs/fuse/engine.js';
import { silentLog } from '../../src/log.js';
import { sourceKinds } from '../../src/sources/registry.js';
import { SourceKinds } from '../../src/sources/source-kinds.js';
import { PosixClient } from '../conformance/posix-client.js';
import { undoneAfter } from '../conformance/world.js';
import { FakeCatalog, fakeImage } from '../fakes/fs-catalog.js';
import { FakePool } from '../fakes/fs-pool.js';
import { cannotMount } from '../fuse/engine-mount.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/temporary.js';
import { byteAt, type PatternCalls, patternSource, UNREADABLE } from './pattern-source.js';

const MiB = 2 ** 20;
/** Ends inside a page. */
const SIZE = 4 * MiB + 777;
const SEED = 0x5eed;

/** Offsets and lengths around pages, pieces and holes. */
const RANGES = [
  [0, 1],
  [4095, 2],
  [65_535, 2],
  [70_001, 4096],
  [MiB - 3, 6],
  [2 * MiB - 100_000, 200_001],
  [SIZE - 5, 100],
] as const;

async function mountPattern(t: TestContext, mount: MountTransport, size = SIZE) {
  const undo = undoneAfter(t);
  const calls: PatternCalls = { mainReads: 0, workers: 0, published: 0, closed: 0 };
  const sources = new SourceKinds([...sourceKinds().all, patternSource(calls)]);
  const image = fakeImage({ id: 'aaaaaaaa-0000-4000-8000-000000000001', name: 'pattern', size });
  const pool = new FakePool(() => ({ kind: 'pattern', seed: SEED }));
  const catalog = new FakeCatalog([image]);
  const common = { log: silentLog, sources };
  const filesystem = createImageFs({ ...common, catalog, pool, clock: systemClock, status: () => '{}' });
  undo.after(() => filesystem.close());
  const mountpoint = path.join(await temporaryFolder(undo), 'images');
  await mkdir(mountpoint);
  const mounted = await mount(filesystem, {
    ...common,
    mountpoint,
    fsname: 'cinderfs-test',
    allowOther: true,
    readTimeoutMs: 20_000,
    openTimeoutMs: 20_000,
    attributeTtlSeconds: 60,
    pieceBytes: 4 * MiB,
    passthrough: true,
  });
  const client = new PosixClient();
  undo.after(async () => {
    await client.close();
    await mounted.unmount({ lazy: true });
    await mounted.ended;
  });
  return { calls, pool, mounted, client, volume: image.volumeId, file: path.join(mountpoint, image.id) };
}

function expected(offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(Math.max(0, Math.min(length, SIZE - offset)));
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = byteAt(SEED, offset + at);
  return bytes;
}

const TRANSPORTS = [
  { name: 'engine', mount: mountEngine, served: 'worker', seeksHoles: true },
  { name: 'native', mount: mountNative, served: 'pattern', seeksHoles: false },
] as const;

for (const { name, mount, served, seeksHoles } of TRANSPORTS)
  describe(`a source whose bytes come from a function, on the ${name}`, { skip: cannotMount }, () => {
    it('is read byte by byte as the function has it, and closed', async (t) => {
      const { client, file, mounted, calls, pool } = await mountPattern(t, mount);
      const fd = await client.call<number>('open', file);
      assert.deepEqual(
        mounted.served().map(({ how }) => how),
        [served],
      );
      for (const [offset, length] of RANGES)
        assert.ok(
          (await client.bytes('pread', fd, offset, length)).equals(expected(offset, length)),
          `${length} bytes at ${offset}`,
        );
      assert.ok((await client.bytes('direct', file, MiB - 4096, 8192)).equals(expected(MiB - 4096, 8192)));
      for (let offset = 0; offset < SIZE; offset += 256 * 1024)
        assert.ok(
          (await client.bytes('pread', fd, offset, 256 * 1024)).equals(expected(offset, 256 * 1024)),
          `at ${offset}`,
        );
      assert.equal(calls.workers > 0, served === 'worker', 'who reads');
      assert.ok(calls.mainReads > 0, 'O_DIRECT readers are served by the main thread');
      await client.call('close', fd);
      await eventually('all is given back', () =>
        Promise.resolve(calls.closed === calls.published && pool.leases === 0 ? true : undefined),
      );
    });

    it('is asked for its holes', async (t) => {
      const { client, file } = await mountPattern(t, mount);
      const fd = await client.call<number>('open', file);
      const hole = await client.call<number>('lseek', fd, 5, 'hole');
      assert.equal(hole, seeksHoles ? MiB : SIZE);
      const data = await client.call<number>('lseek', fd, MiB + 5, 'data');
      assert.equal(data, seeksHoles ? 2 * MiB : MiB + 5);
    });

    it('fails a read that it cannot answer, and no other', async (t) => {
      const { client, file } = await mountPattern(t, mount, 2 * UNREADABLE);
      const fd = await client.call<number>('open', file);
      await assert.rejects(client.bytes('direct', file, UNREADABLE, 4096), { code: 'EIO' });
      await assert.rejects(client.bytes('pread', fd, UNREADABLE, 4096), { code: 'EIO' });
      assert.equal((await client.bytes('pread', fd, 8 * MiB, 4096))[0], byteAt(SEED, 8 * MiB));
    });

    it('is not read any more once it is fenced', async (t) => {
      const { client, file, pool, volume } = await mountPattern(t, mount);
      const fd = await client.call<number>('open', file);
      assert.ok((await client.bytes('pread', fd, 0, 4096)).equals(expected(0, 4096)));
      pool.fence(volume);
      await eventually('reads end with ESTALE', () =>
        client.bytes('pread', fd, 3 * MiB, 4096).then(
          () => undefined,
          (error: unknown) => (error as { code?: string }).code === 'ESTALE' || undefined,
        ),
      );
      await assert.rejects(client.bytes('pread', fd, 2 * MiB, 4096), { code: 'ESTALE' });
      const again = await client.call<number>('open', file);
      assert.ok((await client.bytes('pread', again, 2 * MiB, 4096)).equals(expected(2 * MiB, 4096)));
    });
  });
