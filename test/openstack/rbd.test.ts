/**
 * A Ceph volume of the real OpenStack read by librbd in the engine, which is what `auto` chooses: the same bytes whoever
 * asks, nothing of ours in the cluster while it is open, and nothing after an engine was killed.
 */
import assert from 'node:assert/strict';
import { open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { sha256, testCloud, type TestCloud, type TestImage } from '../support/cloud.js';
import { eventually } from '../support/eventually.js';
import { findServers } from '../support/leftovers.js';
import { Mounted, run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';
import { engineOf } from '../support/engines.js';

interface Scene {
  readonly dir: string;
  readonly cloud: TestCloud;
  readonly image: TestImage;
  readonly mounted: Mounted;
  readonly file: string;
}

async function start(t: TestContext, env: NodeJS.ProcessEnv = {}): Promise<Scene> {
  assert.equal(process.env.CINDERFS_TEST_CLOUD, 'lab', 'npm run test:openstack runs this');
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const cloud = await testCloud(undo, dir);
  const image = cloud.images.find(({ name }) => name === 'demo-rbd') ?? assert.fail('the lab has it');
  const mounted = await Mounted.start({ dir, env: { ...cloud.env, ...env }, test: undo });
  return { dir, cloud, image, mounted, file: mounted.at(image.id) };
}

/** What rbd(8) says of the volume. */
async function rbd(command: string, { volume_id: id }: TestImage): Promise<string> {
  const lab = JSON.parse(await readFile(process.env.CINDERFS_LAB ?? '', 'utf8')) as { ceph_conf: string };
  const args = ['--conf', lab.ceph_conf, '--id', 'cinder', command, `volumes/volume-${id}`];
  const { status, stdout, stderr } = await run('rbd', args);
  assert.equal(status, 0, stderr);
  return stdout;
}

async function endsClean({ dir, cloud, image, mounted }: Scene): Promise<void> {
  assert.equal(await mounted.stop(), 0, mounted.said.slice(-20).join('\n'));
  assert.deepEqual(await cloud.openstack.attachments.listForVolume(image.volume_id), []);
  assert.match(await rbd('status', image), /Watchers: none/);
  assert.deepEqual(await findServers(dir), []);
}

describe('a Ceph volume read by librbd', { timeout: 600_000 }, () => {
  it('has the same bytes for every way to read, and no watcher', async (t) => {
    const scene = await start(t);
    const { dir, image, mounted, file } = scene;
    const reader = await open(file);
    try {
      const { attachments, open_files: files } = await mounted.status();
      assert.deepEqual(
        attachments.map(({ source }) => source),
        [`rbd:volumes/volume-${image.volume_id}`],
      );
      assert.deepEqual(
        files.map(({ served }) => served),
        ['worker'],
      );
      assert.match(await rbd('status', image), /Watchers: none/);
      const copies: Readonly<Record<string, string>> = {
        buffered: 'cat "$0" > "$1"',
        direct: 'dd if="$0" of="$1" bs=1M iflag=direct status=none',
        sparse: 'cp --sparse=auto "$0" "$1"',
        small: 'dd if="$0" of="$1" bs=4097 status=none',
      };
      for (const [how, command] of Object.entries(copies)) {
        const copy = path.join(dir, how);
        const copied = await run('sh', ['-c', command, file, copy]);
        assert.equal(copied.status, 0, copied.stderr);
        assert.equal(await sha256(copy), image.sha256, how);
        await rm(copy);
      }
      const map = await run('qemu-img', ['map', '-f', 'raw', '--output=json', file]);
      const parts = JSON.parse(map.stdout) as { data: boolean; start: number; length: number }[];
      assert.ok(parts.length > 0);
      for (const { data, start, length } of parts)
        if (!data) assert.ok(await isZero(image.source, start, length), `a hole at ${start}`);
    } finally {
      await reader.close();
    }
    await endsClean(scene);
  });

  it('is read through --fuse=native as well', async (t) => {
    const scene = await start(t, { CINDERFS_FUSE: 'native' });
    const copied = await run('cmp', [scene.file, scene.image.source]);
    assert.equal(copied.status, 0, copied.stdout + copied.stderr);
    await endsClean(scene);
  });

  it('goes on under a reader when the engine is killed', async (t) => {
    const scene = await start(t);
    const supervisor = scene.mounted.child.pid ?? 0;
    const slowly = 'dd if="$0" bs=64k iflag=direct status=none | sha256sum';
    const reading = run('sh', ['-c', slowly, scene.file]);
    const before = await eventually('the image is attached', async () => {
      const { attachments } = await scene.mounted.status();
      return attachments[0]?.state === 'attached' ? engineOf(supervisor) : undefined;
    });
    process.kill(before, 'SIGKILL');
    const { stdout, status, stderr } = await reading;
    assert.equal(status, 0, stderr);
    assert.equal(stdout.split(' ')[0], scene.image.sha256);
    await eventually('another engine serves', async () => {
      const engine = await engineOf(supervisor);
      return engine !== undefined && engine !== before ? true : undefined;
    });
    await endsClean(scene);
  });
});

async function isZero(source: string, start: number, length: number): Promise<boolean> {
  const file = await open(source);
  try {
    const bytes = Buffer.alloc(length);
    const { bytesRead } = await file.read(bytes, 0, length, start);
    return bytes.subarray(0, bytesRead).every((byte) => byte === 0);
  } finally {
    await file.close();
  }
}
