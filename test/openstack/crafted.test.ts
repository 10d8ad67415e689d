/**
 * Volumes whose bytes lead to a file of this host, on the real OpenStack: Cinder's own qcow2 volumes on a real NFS
 * server, read by libnfs in qemu-nbd (auto) and over a mount (brick), and raw volumes of NFS and RBD. Cinder looks into NFS
 * volumes itself when it is told of a host; so the bytes change after that, as a guest or another host can do.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { open, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { HOSTILE, SECRET } from '../attach/crafted-qcow2.js';
import { eventually } from '../support/eventually.js';
import { Mounted, run } from '../support/program.js';
import { someBytes } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';
import { CloudProxy, type Exchange } from './cloud-proxy.js';
import { OwnImages, type OwnImage } from './own-images.js';

const MIB = 2 ** 20;
/** All of them take a minute more: CINDERFS_CRAFTED=all. The unit tests of the decoder have them always. */
const some = (count: number, every: number): typeof HOSTILE =>
  process.env.CINDERFS_CRAFTED === 'all'
    ? HOSTILE
    : HOSTILE.slice(0, count).filter((_, index) => index % every === 0);
/** Every file of a volume has as many bytes: the NFS server remembers lengths. */
const FILE_BYTES = 8 * MIB;
const NFS = { volumeType: 'nfs', store: 'cinder-nfs' };
const QCOW2 = { volumeType: 'nfs-qcow2', store: 'cinder-nfs' };
const RBD = { volumeType: 'rbd', store: 'cinder-rbd' };

interface Lab {
  readonly nfs_export: string;
  readonly ceph_conf: string;
}

describe('a volume whose bytes lead to a file of this host', { timeout: 300_000 }, () => {
  const suite = new Undo({ after: (step) => after(step) });
  let dir = '';
  let bait = '';
  let lab: Lab;
  let own: OwnImages;
  let proxy: CloudProxy;
  /** Runs once, as soon as Cinder has looked into the volume. */
  let swap: (() => Promise<void>) | undefined;
  /** What GET /attachments said of the format, last. */
  let format: unknown;

  before(async () => {
    assert.equal(process.env.CINDERFS_TEST_CLOUD, 'lab', 'npm run test:openstack runs this');
    dir = await temporaryFolder(suite);
    bait = path.join(dir, 'bait');
    await writeFile(bait, Buffer.alloc(64 * 1024, SECRET), { mode: 0o600 });
    lab = JSON.parse(await readFile(process.env.CINDERFS_LAB ?? '', 'utf8')) as Lab;
    own = await OwnImages.connect(suite);
    proxy = await CloudProxy.start(suite, observe);
  });

  async function observe({ method, path: asked, status, body }: Exchange): Promise<void> {
    if (status !== 200 || !/\/attachments\/[-0-9a-f]{36}$/.test(asked)) return;
    if (method === 'GET') ({ format } = (JSON.parse(body) as Told).attachment.connection_info);
    if (method !== 'PUT') return;
    const now = swap;
    swap = undefined;
    await now?.();
  }

  const fileOf = (name: string): string => path.join(lab.nfs_export.replace(/^[^:]*:/, ''), name);

  /** In place, as those who have it open see it. */
  async function fill(name: string, source: string): Promise<void> {
    const bytes = Buffer.alloc(FILE_BYTES);
    (await readFile(source)).copy(bytes);
    const file = await open(fileOf(name), 'r+');
    await file.truncate(FILE_BYTES);
    await file.write(bytes, 0, FILE_BYTES, 0);
    await file.sync();
    await file.close();
  }

  async function mount(undo: Undo, connector: string): Promise<Mounted> {
    const env = {
      OS_AUTH_URL: proxy.authUrl,
      OS_USERNAME: 'cinderfs',
      OS_PASSWORD: 'cinderfs',
      OS_PROJECT_NAME: 'service',
      OS_USER_DOMAIN_NAME: 'Default',
      OS_PROJECT_DOMAIN_NAME: 'Default',
      CINDERFS_CONNECTOR: connector,
    };
    return Mounted.start({ dir: await temporaryFolder(undo), env, test: undo });
  }

  /** Nothing of it can be read, the reason is `code`, and nothing stays attached. */
  async function isRefused(mounted: Mounted, image: OwnImage, code: RegExp, what: string): Promise<void> {
    const { status, stdout } = await run('cat', [mounted.at(image.id)]);
    assert.notEqual(
      status,
      0,
      `${what}: it was read, and begins with ${JSON.stringify(stdout.slice(0, 60))}`,
    );
    assert.equal(stdout, '', what);
    const attribute = ['-n', 'user.cinderfs.last_error', '--only-values', mounted.at(image.id)];
    const { stdout: reason } = await run('getfattr', attribute);
    assert.match(reason, code, what);
    assert.ok(!reason.includes(SECRET.trim()), what);
    // The open does not wait for the detach that follows it.
    await eventually(`${what}: nothing is attached`, async () =>
      (await own.attachments(image.volumeId)).length === 0 ? true : undefined,
    );
  }

  describe('as a qcow2 volume of Cinder on NFS', () => {
    let image: OwnImage;
    let honest = '';

    before(async () => {
      const [raw, disk] = [path.join(dir, 'disk.raw'), path.join(dir, 'disk.qcow2')];
      await writeFile(raw, someBytes(3 * MIB + 512));
      execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, disk]);
      execFileSync('qemu-img', ['resize', '-q', disk, '1G']);
      honest = disk;
      const spec = { name: 'test-crafted-qcow2', diskFormat: 'raw', source: raw };
      image = await own.register(QCOW2, spec, (volume) => fill(`volume-${volume}`, disk));
    });

    for (const [connector, hostile] of [
      ['auto', some(7, 1)],
      ['brick', some(6, 4)],
    ] as const)
      it(`is refused, and an honest one is decoded to what Glance hashed, by ${connector}`, async (t) => {
        const undo = new Undo(t);
        const mounted = await mount(undo, connector);
        const name = `volume-${image.volumeId}`;
        await fill(name, honest);
        await hasHash(mounted, image);
        assert.equal(format, 'qcow2', 'Cinder made it so');
        for (const { what, make } of hostile) {
          await fill(name, honest);
          const crafted = path.join(dir, 'crafted');
          await make(crafted, bait);
          swap = () => fill(name, crafted);
          await isRefused(mounted, image, /\[volume_unsafe\]$/, what);
          assert.equal(swap, undefined, `${what}: Cinder was asked`);
        }
        await fill(name, honest);
        await hasHash(mounted, image);
        assert.equal(await mounted.stop(), 0, mounted.said.slice(-20).join('\n'));
        assert.equal(
          await readFile(bait, 'latin1'),
          SECRET.repeat(3000).slice(0, 64 * 1024),
          'nor was it written',
        );
      });

    it('is refused under the name of a snapshot as well, and read where the snapshot is honest', async (t) => {
      const undo = new Undo(t);
      await fill(`volume-${image.volumeId}`, honest);
      const snapshot = await own.snapshot(image.volumeId, undo);
      const name = `volume-${image.volumeId}.${snapshot}`;
      const mounted = await mount(undo, 'auto');
      await hasHash(mounted, image);
      const overlay = await readFile(fileOf(name));
      const crafted = path.join(dir, 'crafted');
      for (const { what, make } of some(6, 4)) {
        await writeFile(fileOf(name), overlay);
        await make(crafted, bait);
        swap = () => fill(name, crafted);
        await isRefused(mounted, image, /\[volume_unsafe\]$/, what);
      }
      await writeFile(fileOf(name), overlay); // Cinder merges it when the snapshot goes
      assert.equal(await mounted.stop(), 0, mounted.said.slice(-20).join('\n'));
    });
  });

  it('is refused as an image in a raw volume, of NFS and of RBD', async (t) => {
    const undo = new Undo(t);
    const crafted = await Promise.all(
      (['raw', 'qcow2', 'vmdk'] as const).map(async (diskFormat) => {
        const source = path.join(dir, `header.${diskFormat}`);
        if (diskFormat === 'vmdk') await writeFile(source, vmdkOf(bait));
        else
          execFileSync('qemu-img', [
            'create',
            '-q',
            '-u',
            '-f',
            'qcow2',
            '-b',
            bait,
            '-F',
            'raw',
            source,
            '1G',
          ]);
        return { name: `test-crafted-${diskFormat}`, diskFormat, source };
      }),
    );
    const images = OwnImages.sharing(own, undo);
    const made: { readonly image: OwnImage; readonly swap?: () => Promise<void> }[] = [];
    for (const spec of crafted) {
      const image = await images.register(NFS, spec, () => Promise.resolve());
      made.push({ image, swap: () => fill(`volume-${image.volumeId}`, spec.source) });
      if (spec.diskFormat !== 'raw')
        made.push({ image: await images.register(RBD, spec, (id) => toRbd(lab, id, spec.source)) });
    }
    const mounted = await mount(undo, 'auto');
    for (const { image, swap: change } of made) {
      swap = change;
      await isRefused(mounted, image, /\[image_unsafe\]$/, image.name);
    }
    assert.equal(await mounted.stop(), 0, mounted.said.slice(-20).join('\n'));
  });
});

interface Told {
  readonly attachment: { readonly connection_info: { readonly format?: string } };
}

async function hasHash(mounted: Mounted, { id, name, hashAlgorithm, hashValue }: OwnImage): Promise<void> {
  const bytes = await readFile(mounted.at(id)).catch((error: unknown) =>
    assert.fail(`${name}: ${String(error)}\n${mounted.said.slice(-20).join('\n')}`),
  );
  assert.equal(createHash(hashAlgorithm).update(bytes).digest('hex'), hashValue, name);
}

/** A monolithic-flat descriptor: the disk is a file of the host. */
const vmdkOf = (extent: string): string =>
  [
    '# Disk DescriptorFile',
    'version=1',
    'CID=fffffffe',
    'parentCID=ffffffff',
    'createType="monolithicFlat"',
    `RW 128 FLAT "${extent}" 0`,
    '',
  ].join('\n');

async function toRbd(lab: Lab, volumeId: string, source: string): Promise<void> {
  const target = `rbd:volumes/volume-${volumeId}:id=cinder:conf=${lab.ceph_conf}`;
  const args = ['convert', '-n', '-f', 'raw', '-O', 'raw', source, target];
  const { status, stderr } = await run('qemu-img', args);
  assert.equal(status, 0, stderr);
}
