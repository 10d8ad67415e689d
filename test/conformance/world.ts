import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Source } from '../../src/sources/contract/source.js';
import { Cleanup } from '../../src/async/cleanup.js';
import { type Clock, systemClock } from '../../src/async/clock.js';
import type { CatalogImage } from '../../src/cinder/contract/catalog.js';
import { createImageFs, type ImageFsOptions } from '../../src/fs/create-image-fs.js';
import type { ImageFs } from '../../src/fs/image-fs.js';
import { silentLog } from '../../src/log.js';
import { FakeCatalog, fakeImage } from '../fakes/fs-catalog.js';
import { FakeNbdServer } from '../fakes/fs-nbd-server.js';
import { FakePool } from '../fakes/fs-pool.js';
import { someBytes } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';

/** Registers what to undo when the test is over; the last is undone first, unlike with the test's own hooks. */
export interface Undo {
  after(undo: () => unknown): void;
}

export function undoneAfter(t: TestContext): Undo {
  const cleanup = new Cleanup();
  t.after(async () => assert.deepEqual(await cleanup.run(), []));
  return { after: (undo) => cleanup.defer('after the test', undo) };
}

/** An image with its bytes at hand. */
export interface WorldImage {
  readonly image: CatalogImage;
  readonly bytes: Buffer;
  /** The volume behind it, which may go on after the image. */
  readonly source: Source;
}

/**
 * A file system over sources that the test controls. `raw` lies on a file that is longer than the image, `nbd` on an
 * NBD export that is longer too and has a hole, `hung` on an NBD export that does not answer reads until it is let go.
 */
export interface World {
  readonly undo: Undo;
  readonly filesystem: ImageFs;
  readonly catalog: FakeCatalog;
  readonly pool: FakePool;
  readonly raw: WorldImage;
  readonly nbd: WorldImage;
  readonly hung: WorldImage;
  readonly nbdServer: FakeNbdServer;
  readonly hungServer: FakeNbdServer;
}

/** Not a multiple of any block or page size, and more than one block. */
const RAW_SIZE = (3 << 20) + 4321;
/** What must never be seen: the bytes of the volume behind the image. */
const BEHIND = Buffer.alloc(70_000, 'SECRET OF ANOTHER TENANT');

export async function makeWorld(
  t: TestContext,
  options: Partial<ImageFsOptions> = {},
  clock: Clock = systemClock,
): Promise<World> {
  const undo = undoneAfter(t);
  const dir = await temporaryFolder(undo);
  const raw = await fileImage(dir, 'aaaaaaaa-0000-4000-8000-000000000001', 'debian/12');
  const nbd = nbdImage(dir, 'bbbbbbbb-0000-4000-8000-000000000002', 'sparse');
  const hung = nbdImage(dir, 'cccccccc-0000-4000-8000-000000000003', 'hung');
  const nbdServer = await serve(undo, nbd);
  const hungServer = await serve(undo, hung);
  hungServer.verdict = () => 'hold';

  const images = [raw, nbd, hung];
  const sources = new Map(images.map(({ image, source }) => [image.id, source]));
  const catalog = new FakeCatalog(images.map(({ image }) => image));
  const pool = new FakePool(({ id }) => sources.get(id) ?? { kind: 'file', path: '/nonexistent' });
  const filesystem = createImageFs({
    catalog,
    pool,
    clock,
    log: silentLog,
    status: () => JSON.stringify({ attaches: pool.attaches }),
    onReadError: (imageId, error) => pool.noteError(imageId, error),
    options: { gid: 0, readTimeoutMs: 20_000, ...options },
  });
  undo.after(() => filesystem.close());
  return { undo, filesystem, catalog, pool, raw, nbd, hung, nbdServer, hungServer };
}

async function fileImage(dir: string, id: string, name: string): Promise<WorldImage> {
  const bytes = someBytes(RAW_SIZE);
  const file = path.join(dir, `${id}.volume`);
  await writeFile(file, Buffer.concat([bytes, BEHIND]));
  return { image: fakeImage({ id, name, size: bytes.length }), bytes, source: { kind: 'file', path: file } };
}

function nbdImage(dir: string, id: string, name: string): WorldImage {
  const bytes = Buffer.concat([someBytes(1 << 20), Buffer.alloc(1 << 20), someBytes(54_321)]);
  const socket = path.join(dir, `${name}.sock`);
  return {
    image: fakeImage({ id, name, size: bytes.length }),
    bytes,
    source: { kind: 'nbd', socket, exportName: '' },
  };
}

async function serve(undo: Undo, { bytes, source }: WorldImage): Promise<FakeNbdServer> {
  if (source.kind !== 'nbd') throw new Error('not an NBD image');
  const server = await FakeNbdServer.listen({ socket: source.socket, data: Buffer.concat([bytes, BEHIND]) });
  undo.after(() => {
    server.letGo();
    return server.close();
  });
  return server;
}
