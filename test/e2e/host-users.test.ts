/** Programs of a hypervisor beside the mount: who may read, what they cost, and whom an open keeps out. */
import assert from 'node:assert/strict';
import { chmod, open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { testCloud, type TestCloud, type TestImage } from '../support/cloud.js';
import { eventually } from '../support/eventually.js';
import { Mounted, run, type Outcome } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

/** Numbers that no user or group of the machine has: nova, and what virtual machines run as. */
const NOVA = 61_001;
const LIBVIRT = 61_002;
const STRANGER = 61_003;

interface Scene {
  readonly cloud: TestCloud;
  readonly mounted: Mounted;
}

async function scene(t: TestContext, args: readonly string[] = []): Promise<Scene> {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  await chmod(dir, 0o755);
  const cloud = await testCloud(undo, dir);
  return { cloud, mounted: await Mounted.start({ dir, env: cloud.env, args, test: undo }) };
}

/** `head -c1 FILE` as that user, in those groups. */
function readAs(file: string, uid: number, groups: readonly number[]): Promise<Outcome> {
  const [gid = uid] = groups;
  const ids = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
  return run('setpriv', [...ids, 'head', '-c1', file]);
}

async function attached({ cloud }: Scene, images: readonly TestImage[]): Promise<number> {
  const found = await Promise.all(
    images.map(({ volume_id: id }) => cloud.openstack.attachments.listForVolume(id)),
  );
  return found.flat().length;
}

const README = readFile(fileURLToPath(new URL('../../../README.md', import.meta.url)), 'utf8');

describe('programs of this host', { timeout: 600_000 }, () => {
  it('may read as --uid and --gid say; by default root alone', async (t) => {
    assert.match(await README, /`--uid nova --gid libvirt-qemu`/);
    const closed = await scene(t);
    const image = closed.cloud.images.find(({ attachable, multiattach }) => attachable && multiattach);
    assert.ok(image);
    assert.notEqual((await readAs(closed.mounted.at(image.id), NOVA, [LIBVIRT])).status, 0);
    await closed.mounted.stop();
    const { mounted } = await scene(t, [`--uid=${NOVA}`, `--gid=${LIBVIRT}`]);
    const file = mounted.at(path.basename(image.id));
    for (const [who, uid, groups, may] of [
      ['nova', NOVA, [NOVA], true],
      ['a virtual machine', STRANGER, [LIBVIRT], true],
      ['another user', STRANGER, [STRANGER], false],
    ] as const) {
      const { status, stderr } = await readAs(file, uid, groups);
      assert.equal(status === 0, may, `${who}: ${stderr}`);
    }
  });

  it('attach nothing by looking at names, sizes and times, and every image by opening it', async (t) => {
    const stage = await scene(t, ['--linger=600']);
    const { mounted, cloud } = stage;
    const images = cloud.images.filter(({ attachable }) => attachable);
    for (const [command, ...args] of [
      ['ls', '-lRL', mounted.mountpoint],
      ['find', mounted.mountpoint, '-size', '+1', '-newermt', '2001-01-01'],
      ['du', '-aL', '--apparent-size', mounted.mountpoint],
      ['stat', ...images.map(({ id }) => mounted.at(id))],
    ] as const) {
      const { status, stderr } = await run(command, args);
      assert.equal(status, 0, `${command}: ${stderr}`);
      assert.equal(await attached(stage, images), 0, command);
    }
    // As a storage pool of libvirt and file(1) do. Volumes that are not multiattach are let go at once.
    const kept = images.filter(({ multiattach }) => multiattach);
    const { status, stderr } = await run('head', ['-qc512', ...images.map(({ id }) => mounted.at(id))]);
    assert.equal(status, 0, stderr);
    assert.equal(await attached(stage, kept), kept.length);
  });

  it('keep others from a volume that is not multiattach, and are kept from it, while it is open', async (t) => {
    const stage = await scene(t, ['--attach-budget=30']);
    const { mounted, cloud } = stage;
    const { attachments } = cloud.openstack;
    const image = cloud.images.find(({ attachable, multiattach }) => attachable && !multiattach);
    if (image === undefined) {
      t.skip('every image of this cloud is multiattach');
      return;
    }
    const file = await open(mounted.at(image.id));
    await assert.rejects(attachments.create(image.volume_id), /400|409/);
    await file.close();
    const other = await eventually('it is free', () =>
      attachments.create(image.volume_id).catch(() => undefined),
    );
    try {
      const { stdout } = await run('ls', [mounted.mountpoint]);
      assert.ok(stdout.includes(image.id), 'its name is there all the same');
      await assert.rejects(open(mounted.at(image.id)), { code: 'EBUSY' });
      const why = await run('getfattr', [
        '--only-values',
        '-n',
        'user.cinderfs.last_error',
        mounted.at(image.id),
      ]);
      assert.match(why.stdout, /volume_busy/);
    } finally {
      await attachments.delete(other.id);
    }
  });
});
