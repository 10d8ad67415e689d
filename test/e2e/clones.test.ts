/** `--isolate=clone`: a volume that only one host may attach is read through a clone, and stays free for others. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { Volume } from '../../src/cinder/contract/volumes.js';
import { testCloud, type TestCloud, type TestImage } from '../support/cloud.js';
import { eventually } from '../support/eventually.js';
import { findServers } from '../support/leftovers.js';
import { cinderfs, Mounted, run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

interface Scene {
  readonly cloud: TestCloud;
  readonly dir: string;
  readonly undo: Undo;
  readonly image: TestImage;
}

async function scene(t: TestContext): Promise<Scene> {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const cloud = await testCloud(undo, dir);
  // The generic NFS driver clones only where snapshots are enabled; RBD clones by reference.
  const image = cloud.images.find(
    ({ attachable, multiattach, backend }) => attachable && !multiattach && backend !== 'nfs',
  );
  assert.ok(image, 'there is an image whose volume is not multiattach');
  undo.after(async () => {
    for (const clone of await clones({ cloud, image })) await cloud.openstack.clones.delete(clone.id);
  });
  return { cloud, dir, undo, image };
}

/** Killed, it is dead: no supervisor, no engine that serves on. */
const ALONE = { CINDERFS_SUPERVISE: 'false' };

function mount({ cloud, dir, undo }: Scene, env: NodeJS.ProcessEnv = {}): Promise<Mounted> {
  return Mounted.start({ dir, env: { ...cloud.env, CINDERFS_ISOLATE: 'clone', ...env }, test: undo });
}

async function clones({ cloud, image }: Pick<Scene, 'cloud' | 'image'>): Promise<readonly Volume[]> {
  const volumes = await cloud.openstack.volumes.list();
  return volumes.filter(({ metadata }) => metadata.cinderfs_source === image.volume_id);
}

async function attachments({ cloud, image }: Scene): Promise<number> {
  return (await cloud.openstack.attachments.listForVolume(image.volume_id)).length;
}

async function read(mounted: Mounted, image: TestImage): Promise<void> {
  assert.equal((await run('head', ['-c1', mounted.at(image.id)])).stdout.length, 1);
}

/** Clones are deleted in the background by Cinder; one whose reader died is left alone for 35 s before. */
function noClones(stage: Scene): Promise<true> {
  const gone = async (): Promise<true | undefined> => ((await clones(stage)).length === 0 ? true : undefined);
  return eventually('every clone is gone', gone, 120_000);
}

describe('reading through a clone', { timeout: 600_000 }, () => {
  it('gives the bytes of the image, while another host may attach the volume', async (t) => {
    const stage = await scene(t);
    const { cloud, image, undo } = stage;
    const mounted = await mount(stage);
    // Processes of their own: threads of this one serve the embedded cloud, which makes the clone.
    const readers = Array.from({ length: 8 }, () => run('sha256sum', [mounted.at(image.id)]));
    for (const { stdout } of await Promise.all(readers)) assert.equal(stdout.slice(0, 64), image.sha256);
    const [clone, ...more] = await clones(stage);
    assert.ok(clone);
    assert.deepEqual(more, [], 'one clone for all');
    assert.equal(clone.metadata.cinderfs_image, image.id);
    assert.match(clone.metadata.cinderfs_owner ?? '', /^cinderfs:/);
    assert.equal(await attachments(stage), 0);
    const [held] = (await mounted.status()).attachments;
    assert.equal(held?.clone_id, clone.id);
    assert.equal(held.state, 'lingering');
    const elsewhere = await cloud.openstack.attachments.create(image.volume_id);
    undo.after(() => cloud.openstack.attachments.delete(elsewhere.id));
    const { stderr, status } = await cinderfs(['release', image.id, mounted.mountpoint], mounted.env);
    assert.equal(status, 0, stderr);
    await noClones(stage);
    assert.equal((await mounted.status()).gauges.clones, 0);
  });

  it('leaves no clone when the mount ends', async (t) => {
    const stage = await scene(t);
    const mounted = await mount(stage);
    await read(mounted, stage.image);
    assert.equal((await clones(stage)).length, 1);
    assert.equal(await mounted.stop('SIGTERM'), 0, mounted.said.join('\n'));
    await noClones(stage);
  });

  it('takes up, or removes, the clone of a daemon that was killed', async (t) => {
    const stage = await scene(t);
    const first = await mount(stage, ALONE);
    await read(first, stage.image);
    await first.stop('SIGKILL');
    assert.equal((await clones(stage)).length, 1);
    const second = await mount(stage, { CINDERFS_LINGER: '1' });
    await eventually('the clone of the first is let go', async () =>
      (await second.status()).gauges.journal_records === 0 ? true : undefined,
    );
    await noClones(stage);
  });

  it('removes a clone of this mount whose journal is lost, at the next start', async (t) => {
    const stage = await scene(t);
    const first = await mount(stage, ALONE);
    await read(first, stage.image);
    const [lost] = await clones(stage);
    await first.stop('SIGKILL');
    for (const one of await stage.cloud.openstack.attachments.listForVolume(lost?.id ?? ''))
      await stage.cloud.openstack.attachments.delete(one.id);
    await mount(stage, { CINDERFS_STATE_DIR: `${stage.dir}/new-state` });
    await noClones(stage);
    assert.deepEqual(await findServers(stage.dir), [], 'whatever still read it was ended first');
  });
});
