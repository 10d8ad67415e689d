/** The main job: every tool that operators use reads the same bytes, over one attachment, and nothing stays behind. */
import assert from 'node:assert/strict';
import { open, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { sha256, testCloud, type TestCloud, type TestImage } from '../support/cloud.js';
import { eventually } from '../support/eventually.js';
import { Mounted, run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const READERS = 16;

describe('reading images through the mount', { timeout: 1_200_000 }, () => {
  const test = new Undo({ after: (run) => after(run) });
  let dir: string;
  let cloud: TestCloud;
  let mounted: Mounted;

  before(async () => {
    dir = await temporaryFolder(test);
    cloud = await testCloud(test, dir);
    mounted = await Mounted.start({ dir, env: { ...cloud.env, CINDERFS_LINGER: '1' }, test });
  });

  const attachable = (): readonly TestImage[] => cloud.images.filter((image) => image.attachable);

  async function attachments(image: TestImage): Promise<number> {
    return (await cloud.openstack.attachments.listForVolume(image.volume_id)).length;
  }

  async function released(image: TestImage): Promise<void> {
    await eventually(`${image.name} is detached`, async () =>
      (await attachments(image)) === 0 ? true : undefined,
    );
    const volume = await cloud.openstack.volumes.show(image.volume_id);
    assert.equal(volume.status, 'available', image.name);
  }

  it('lists every image with its exact size and attaches nothing', async () => {
    const listing = await run('ls', ['-ln', mounted.mountpoint]);
    assert.equal(listing.status, 0, listing.stderr);
    const byName = await readdir(mounted.at('by-name'));
    for (const image of cloud.images) {
      assert.match(listing.stdout, new RegExp(`-r--r----- 1 0 0 +${image.size} .* ${image.id}`), image.name);
      assert.ok(byName.includes(image.name), image.name);
      assert.equal(await attachments(image), 0, image.name);
    }
    assert.deepEqual((await mounted.status()).attachments, []);
  });

  const tools: Record<
    string,
    (file: string, copy: string, image: TestImage) => readonly [string, readonly string[]]
  > = {
    'qemu-img convert': (file, copy) => ['qemu-img', ['convert', '-f', 'raw', '-O', 'raw', file, copy]],
    'dd iflag=direct': (file, copy) => [
      'dd',
      [`if=${file}`, `of=${copy}`, 'bs=1M', 'iflag=direct', 'status=none'],
    ],
    'cp --sparse=always': (file, copy) => ['cp', ['--sparse=always', file, copy]],
    'cat (no copy by the reader)': (file, copy) => ['sh', ['-c', `cat '${file}' > '${copy}'`]],
  };

  for (const [tool, commandOf] of Object.entries(tools)) {
    it(`${tool} copies every image byte for byte`, async () => {
      for (const image of attachable()) {
        const copy = path.join(dir, 'copy');
        const [command, args] = commandOf(mounted.at(image.id), copy, image);
        const { status, stderr } = await run(command, args);
        assert.equal(status, 0, `${image.name}: ${stderr}`);
        assert.equal(await sha256(copy), await expected(tool, image), image.name);
        await rm(copy);
      }
    });
  }

  /** qemu-img convert rounds a raw image up to a whole sector, with zeros. */
  async function expected(tool: string, image: TestImage): Promise<string> {
    if (tool !== 'qemu-img convert' || image.size % 512 === 0) return image.sha256;
    const padded = path.join(dir, 'padded');
    await run('cp', [image.source, padded]);
    await run('truncate', ['-s', '%512', padded]);
    try {
      return await sha256(padded);
    } finally {
      await rm(padded);
    }
  }

  it('qemu-img compare finds every image identical to its source', async () => {
    for (const image of attachable()) {
      const args = ['compare', '-f', 'raw', '-F', 'raw', mounted.at(image.id), image.source];
      const { status, stdout, stderr } = await run('qemu-img', args);
      assert.equal(status, 0, `${image.name}: ${stdout}${stderr}`);
    }
  });

  it(`${READERS} readers at once share one attachment and agree`, async () => {
    for (const image of attachable()) {
      const file = mounted.at(image.id);
      const holder = await open(file);
      try {
        const readers = Array.from({ length: READERS }, () => run('cmp', [file, image.source]));
        assert.equal(await attachments(image), 1, image.name);
        for (const { status, stdout, stderr } of await Promise.all(readers)) {
          assert.equal(status, 0, `${image.name}: ${stdout}${stderr}`);
        }
        assert.equal(await attachments(image), 1, image.name);
      } finally {
        await holder.close();
      }
    }
  });

  it('detaches every volume after the last close: Cinder lists no attachment and calls it available', async () => {
    for (const image of cloud.images) await released(image);
    assert.deepEqual((await mounted.status()).attachments, []);
  });

  it('a name under by-name leads to the image', async () => {
    const [image] = attachable();
    assert.ok(image);
    const { stdout } = await run('sha256sum', [mounted.at('by-name', image.name)]);
    assert.equal(stdout.slice(0, 64), image.sha256);
    await released(image);
  });
});
