/** What every carrier of the file system must show: ImageFs called directly and each transport pass the same suite. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { readdir, readlink } from 'node:fs/promises';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { fakeImage } from '../fakes/fs-catalog.js';
import { eventually } from '../support/eventually.js';
import { kernelConformance } from './kernel.js';
import { readWhole } from './subject.js';
import type { Carrier, Subject } from './subject.js';
import { makeWorld } from './world.js';
import type { World } from './world.js';

/** Those that a copy may have as well: not `state` and `last_error`, which are answered all the same. */
const NAME_XATTRS = ['disk_format', 'hash', 'image_id', 'name', 'volume_id'];

export function filesystemConformance(carrier: Carrier): void {
  const carried = async (t: TestContext): Promise<{ subject: Subject; world: World }> => {
    const world = await makeWorld(t);
    return { world, subject: await carrier.carry(world) };
  };

  describe(`the file system ${carrier.name}`, () => {
    it('lists images by id, names as symlinks, and does not attach for it', async (t) => {
      const { subject, world } = await carried(t);
      const { raw, nbd, hung, pool, catalog } = world;
      const ids = [raw, nbd, hung].map(({ image }) => image.id);
      assert.deepEqual((await subject.list('')).sort(), [...ids, 'by-name'].sort());
      assert.deepEqual((await subject.list('by-name')).sort(), ['debian%2F12', 'hung', 'sparse']);
      assert.equal(await subject.readlink('by-name/debian%2F12'), `../${raw.image.id}`);
      const stat = await subject.stat(raw.image.id);
      assert.equal(stat.mode, constants.S_IFREG | 0o440);
      assert.equal(stat.size, raw.bytes.length);
      assert.equal(stat.mtime, raw.image.createdAt.getTime() / 1000, 'of the content, not of its metadata');
      assert.equal((await subject.stat('by-name')).mode & constants.S_IFMT, constants.S_IFDIR);
      assert.deepEqual([pool.acquires, catalog.refreshes], [0, 0]);
    });

    it('shows the same stat every time', async (t) => {
      const { subject, world } = await carried(t);
      const first = await subject.stat(world.raw.image.id);
      await readWhole(subject, world.raw.image.id);
      assert.deepEqual(await subject.stat(world.raw.image.id), first);
    });

    it('serves exactly the bytes of the image from a volume that is longer', async (t) => {
      const { subject, world } = await carried(t);
      for (const { image, bytes } of [world.raw, world.nbd]) {
        assert.ok((await readWhole(subject, image.id)).equals(bytes), image.name);
        const file = await subject.open(image.id);
        assert.ok((await file.pread(bytes.length - 5, 100)).equals(bytes.subarray(-5)));
        assert.equal((await file.pread(bytes.length, 100)).length, 0);
        assert.equal((await file.pread(bytes.length + 100_000, 100)).length, 0);
        await file.close();
      }
    });

    it('reads at any offset', async (t) => {
      const { subject, world } = await carried(t);
      for (const { image, bytes } of [world.raw, world.nbd]) {
        const file = await subject.open(image.id);
        for (const [offset, length] of [
          [1, 1],
          [4095, 2],
          [(1 << 20) - 3, 7],
          [(2 << 20) - 1, 4098],
          [1_234_567, 131_073],
        ] as const) {
          assert.ok((await file.pread(offset, length)).equals(bytes.subarray(offset, offset + length)));
        }
        await file.close();
      }
    });

    it('makes one attachment of many opens, and gives every lease back', async (t) => {
      const { subject, world } = await carried(t);
      const files = await Promise.all(Array.from({ length: 8 }, () => subject.open(world.nbd.image.id)));
      const reads = await Promise.all(files.map((file) => file.pread(100, 1000)));
      assert.ok(reads.every((read) => read.equals(world.nbd.bytes.subarray(100, 1100))));
      assert.equal(world.pool.attaches, 1);
      // A transport may let opens of one user share a lease.
      assert.ok(world.pool.leases >= 1 && world.pool.leases <= 8, `${world.pool.leases} leases`);
      await Promise.all(files.map((file) => file.close()));
      await noLeases(world);
    });

    it('looks an unknown name up once more, then says ENOENT', async (t) => {
      const { subject, world } = await carried(t);
      const id = 'c0ffee00-0000-4000-8000-00000000beef';
      await assert.rejects(subject.stat(id), { code: 'ENOENT' });
      await assert.rejects(subject.stat('by-name/new%2Fone~c0ffee00'), { code: 'ENOENT' });
      assert.deepEqual(world.catalog.wanted[1], { names: ['new/one~c0ffee00', 'new/one'] });
      world.catalog.upstream = [...world.catalog.upstream, fakeImage({ id, name: 'new/one', size: 42 })];
      assert.equal((await subject.stat(id)).size, 42);
      assert.equal(await subject.readlink('by-name/new%2Fone'), `../${id}`);
    });

    it('shows strange names, every one of them', async (t) => {
      const { subject, world } = await carried(t);
      const names = [
        'a/b',
        '..',
        '.',
        'two\nlines',
        '',
        'é'.repeat(300),
        '\ud800',
        'same',
        'same',
        '%41',
        ' x ',
      ];
      world.catalog.set(names.map((name, index) => fakeImage({ id: `${index}`.repeat(8), name, size: 7 })));
      const shown = await subject.list('by-name');
      assert.equal(new Set(shown).size, names.length);
      for (const name of shown) {
        const target = await subject.readlink(`by-name/${name}`);
        assert.equal((await subject.stat(target.replace('../', ''))).size, 7);
      }
    });

    it('tells about an image in its extended attributes', async (t) => {
      const { subject, world } = await carried(t);
      const { id } = world.raw.image;
      const names = NAME_XATTRS.map((name) => `user.cinderfs.${name}`);
      assert.deepEqual((await subject.listxattr(id)).sort(), names);
      const value = async (name: string): Promise<string> =>
        (await subject.getxattr(id, `user.cinderfs.${name}`)).toString();
      assert.equal(await value('name'), 'debian/12');
      assert.equal(await value('image_id'), id);
      assert.equal(await value('volume_id'), world.raw.image.volumeId);
      assert.equal(await value('hash'), 'sha512:c0ffee');
      assert.equal(await value('state'), 'detached');
      const file = await subject.open(id);
      assert.equal(await value('state'), 'attached');
      await file.close();
      await assert.rejects(value('last_error'), { code: 'ENODATA' });
      assert.deepEqual(await subject.listxattr('by-name'), []);
    });

    it('gives a long extended attribute whole', async (t) => {
      const { subject, world } = await carried(t);
      world.catalog.set([fakeImage({ id: 'long-name', name: 'n'.repeat(300) })]);
      const value = await subject.getxattr('long-name', 'user.cinderfs.name');
      assert.equal(value.toString(), 'n'.repeat(300));
    });

    it('has the daemon’s status in a file that is not listed', async (t) => {
      const { subject, world } = await carried(t);
      const status = async (): Promise<unknown> =>
        JSON.parse((await readWhole(subject, '.cinderfs/status')).toString());
      assert.deepEqual(await status(), { attaches: 0 });
      const file = await subject.open(world.raw.image.id);
      assert.deepEqual(await status(), { attaches: 1 });
      await file.close();
    });

    it('says how long the status is that was just opened, however often: readers stop there', async (t) => {
      const { subject } = await carried(t);
      for (let times = 0; times < 3; times++) {
        const file = await subject.open('.cinderfs/status');
        assert.equal((await file.pread(0, 65_536)).length, await file.size());
        await file.close();
      }
    });

    it('answers a failed read with an errno, never with fewer bytes', async (t) => {
      const { subject, world } = await carried(t);
      const { image, bytes } = world.nbd;
      const file = await subject.open(image.id);
      world.nbdServer.verdict = (offset, length) => (offset + length > 2 << 20 ? 5 : 'answer');
      await assert.rejects(file.pread((2 << 20) + 1, 50_000), { code: 'EIO' });
      const told = (await subject.getxattr(image.id, 'user.cinderfs.last_error')).toString();
      assert.match(told, /EIO/);
      world.nbdServer.verdict = () => 'answer';
      const offset = (2 << 20) + 1;
      assert.ok((await file.pread(offset, 50_000)).equals(bytes.subarray(offset, offset + 50_000)));
      await file.close();
    });

    it('answers an open that fails with an errno and keeps no lease', async (t) => {
      const { subject, world } = await carried(t);
      await world.nbdServer.close();
      await assert.rejects(subject.open(world.nbd.image.id), { code: 'EIO' });
      await noLeases(world);
      assert.equal(world.pool.evictions, 1);
    });

    it('lets no other file wait for a source that hangs', async (t) => {
      const { subject, world } = await carried(t);
      const hung = await Promise.all(Array.from({ length: 20 }, () => subject.open(world.hung.image.id)));
      const reads = hung.map((file, index) => file.pread(index * 100_000, 4096));
      const settled = Promise.allSettled(reads);
      await eventually('reads are held', () => Promise.resolve(world.hungServer.held > 0 || undefined));
      const { image, bytes } = world.raw;
      assert.ok((await readWhole(subject, image.id)).equals(bytes));
      assert.ok((await readWhole(subject, world.nbd.image.id)).equals(world.nbd.bytes));
      assert.equal((await subject.stat(world.hung.image.id)).size, world.hung.bytes.length);
      world.hungServer.letGo();
      const late = await settled;
      assert.ok(late.every(({ status }) => status === 'fulfilled'));
      await Promise.all(hung.map((file) => file.close()));
      await noLeases(world);
    });

    it('fences: reads end with ESTALE, a new open reads the new attachment', async (t) => {
      const { subject, world } = await carried(t);
      const { image, bytes } = world.hung;
      const file = await subject.open(image.id);
      const reading = file.pread(0, 4096);
      const ended = assert.rejects(reading, { code: 'ESTALE' });
      await eventually('the read is held', () => Promise.resolve(world.hungServer.held > 0 || undefined));
      world.pool.fence(image.volumeId);
      await ended;
      await assert.rejects(file.pread(1 << 20, 4096), { code: 'ESTALE' });
      await file.close();
      world.hungServer.letGo();
      assert.ok((await readWhole(subject, image.id)).equals(bytes));
    });

    it('lets go of a fenced source at once, which cannot be detached while it is open', async (t) => {
      const { subject, world } = await carried(t);
      const { image, source } = world.raw;
      assert.ok(source.kind === 'file');
      const file = await subject.open(image.id);
      await file.pread(0, 4096);
      assert.ok(await openHere(source.path));
      world.pool.fence(image.volumeId);
      await eventually('nobody has it open', async () => ((await openHere(source.path)) ? undefined : true));
      await assert.rejects(file.pread(1 << 20, 4096), { code: 'ESTALE' });
      await file.close();
    });

    it('keeps an open file readable, and its size, when the image leaves the catalog', async (t) => {
      const { subject, world } = await carried(t);
      const { image, bytes } = world.raw;
      const file = await subject.open(image.id);
      world.catalog.set([]);
      assert.ok((await file.pread(bytes.length - 9, 100)).equals(bytes.subarray(-9)));
      assert.equal(await file.size(), bytes.length);
      await file.close();
    });

    it('finds data and holes as the source has them, or calls it all data', async (t) => {
      const { subject, world } = await carried(t);
      const { image, bytes } = world.nbd;
      const file = await subject.open(image.id);
      const [hole, data] = subject.seeksHoles ? [1 << 20, 2 << 20] : [bytes.length, (1 << 20) + 5];
      assert.equal(await file.lseek(0, 'data'), 0);
      assert.equal(await file.lseek(0, 'hole'), hole);
      assert.equal(await file.lseek((1 << 20) + 5, 'data'), data);
      assert.equal(await file.lseek((2 << 20) + 5, 'hole'), bytes.length);
      await assert.rejects(file.lseek(bytes.length, 'data'), { code: 'ENXIO' });
      await file.close();
    });

    it('says how large it all is', async (t) => {
      const { subject } = await carried(t);
      const { blockSize, nameMax } = await subject.statvfs();
      assert.deepEqual([blockSize, nameMax], [1 << 20, 255]);
    });

    kernelConformance(carried);
  });
}

/** Releases reach us after close(2) has returned. */
export async function noLeases({ pool, filesystem }: World): Promise<void> {
  const idle = (): boolean => pool.leases === 0 && filesystem.openFiles === 0;
  await eventually('every lease is given back', () => Promise.resolve(idle() || undefined));
}

/** Whether this process has that file open. */
async function openHere(path: string): Promise<boolean> {
  const links = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
  return (await Promise.all(links)).includes(path);
}
