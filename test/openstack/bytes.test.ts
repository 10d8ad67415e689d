/**
 * Whatever the format of an image and the backend of its volume: the file has the hash that the real Glance computed or
 * was given. That includes what Cinder's NFS driver reports in another format than it stores: a qcow2 whose virtual size
 * is exactly that of its raw volume.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { after, before, describe, it } from 'node:test';
import { testCloud, type TestCloud } from '../support/cloud.js';
import { Mounted, run } from '../support/program.js';
import { someBytes } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';
import { OwnImages, type OwnImage } from './own-images.js';

const GIB = 2 ** 30;
const MIB = 2 ** 20;

describe('the bytes of an image', { timeout: 300_000 }, () => {
  const suite = new Undo({ after: (step) => after(step) });
  let cloud: TestCloud;
  let own: OwnImages;
  /** By name: what Glance says of it. */
  const images = new Map<string, OwnImage>();

  before(async () => {
    assert.equal(process.env.CINDERFS_TEST_CLOUD, 'lab', 'npm run test:openstack runs this');
    const dir = await temporaryFolder(suite);
    cloud = await testCloud(suite, dir);
    own = await OwnImages.connect(suite);
    const source = await qcow2Of1Gib(dir);
    for (const backend of ['nfs', 'rbd']) {
      const name = `test-${backend}-qcow2-1g`;
      images.set(name, await own.upload(`cinder-${backend}`, { name, diskFormat: 'qcow2', source }));
    }
    for (const { name, id, attachable, size } of cloud.images)
      if (attachable && size < GIB) images.set(name, await own.show(id));
  });

  for (const [connector, names] of [
    [
      'auto',
      ['test-nfs-qcow2-1g', 'demo-nfs', 'test-rbd-qcow2-1g', 'demo-rbd-qcow2', 'demo-rbd', 'demo-iscsi'],
    ],
    ['brick', ['test-nfs-qcow2-1g', 'demo-nfs']],
  ] as const)
    it(`are those that Glance hashed, through connector ${connector}`, async (t) => {
      const undo = new Undo(t);
      const env = { ...cloud.env, CINDERFS_CONNECTOR: connector };
      const mounted = await Mounted.start({ dir: await temporaryFolder(undo), env, test: undo });
      for (const name of names)
        await isServed(mounted, images.get(name) ?? assert.fail(`${name} is in Glance, with its hash`));
      assert.equal(await mounted.stop(), 0, mounted.said.slice(-20).join('\n'));
      for (const name of names)
        assert.deepEqual(await own.attachments(images.get(name)?.volumeId ?? ''), [], name);
    });
});

async function isServed(mounted: Mounted, { id, name, hashAlgorithm, hashValue }: OwnImage): Promise<void> {
  // Attached once for both.
  const file = await open(mounted.at(id)).catch((error: unknown) => {
    throw new Error(`${name}: ${String(error)}\n${mounted.said.slice(-10).join('\n')}`);
  });
  try {
    assert.equal(await digest(file, hashAlgorithm), hashValue, name);
    const { stdout } = await run('qemu-img', ['info', '--output=json', mounted.at(id)]);
    const { format } = JSON.parse(stdout) as { format: string };
    assert.equal(format, name.includes('qcow2') ? 'qcow2' : 'raw', name);
  } finally {
    await file.close();
  }
}

/** Some MiB of data in a disk of exactly as many bytes as Cinder's smallest volume has. */
async function qcow2Of1Gib(dir: string): Promise<string> {
  const [raw, source] = [path.join(dir, 'disk.raw'), path.join(dir, 'disk.qcow2')];
  const disk = await open(raw, 'wx');
  await disk.truncate(GIB);
  for (const at of [0, GIB / 2 + 5 * 512, GIB - MIB]) await disk.write(someBytes(MIB), 0, MIB, at);
  await disk.close();
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, source]);
  return source;
}

async function digest(file: FileHandle, algorithm: string): Promise<string> {
  const hash = createHash(algorithm);
  await pipeline(file.createReadStream({ highWaterMark: MIB, autoClose: false }), hash);
  return hash.digest('hex');
}
