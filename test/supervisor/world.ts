/** A mount under a supervisor, with images worth reading, and whoever kills its engines. */
import assert from 'node:assert/strict';
import { chmod, mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { startDevcloud } from '../../devcloud/devcloud.js';
import { sha256, testCloud } from '../support/cloud.js';
import { eventually } from '../support/eventually.js';
import { findServers, mountsBelow, filesBelow } from '../support/leftovers.js';
import { Mounted, run, type MountUser } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';
import { writeByFio, type Target } from './loads.js';

export interface SupervisedWorld {
  readonly dir: string;
  readonly undo: Undo;
  readonly mounted: Mounted;
  readonly target: Target;
  /** Attachments there are in Cinder. */
  readonly attachments: () => Promise<number>;
}

interface Cloud {
  readonly env: NodeJS.ProcessEnv;
  readonly image: {
    readonly id: string;
    readonly source: string;
    readonly sha256: string;
    readonly byFio: boolean;
  };
  readonly attachments: () => Promise<number>;
}

const IMAGE_BYTES = 48 * 2 ** 20;

export interface WorldOptions {
  readonly volumeBytes?: 'gib' | 'exact';
  /** Writes the image, on the embedded cloud; by fio, which can verify it, when absent. */
  readonly image?: (file: string) => Promise<unknown>;
  /** More for the environment of `cinderfs mount`. */
  readonly env?: NodeJS.ProcessEnv;
  readonly user?: MountUser;
  /** See MountOptions. */
  readonly onReady?: (supervisor: number) => void;
}

export async function supervisedWorld(
  t: TestContext,
  args: readonly string[] = [],
  options: WorldOptions = {},
): Promise<SupervisedWorld> {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const real = process.env.CINDERFS_TEST_CLOUD === 'lab';
  const { env, image, attachments } = real ? await lab(undo, dir) : await embedded(undo, dir, options);
  const { user, onReady } = options;
  if (user !== undefined) await openTo(user, dir);
  const mounted = await Mounted.start({
    dir,
    env: { ...env, ...options.env },
    args,
    user,
    onReady,
    test: undo,
  });
  return { dir, undo, mounted, target: { ...image, file: mounted.at(image.id) }, attachments };
}

async function embedded(
  undo: Undo,
  dir: string,
  { volumeBytes = 'gib', image: write }: WorldOptions,
): Promise<Cloud> {
  const home = path.join(dir, 'cloud');
  const source = path.join(home, 'images', 'load.raw');
  await mkdir(path.dirname(source), { recursive: true });
  await (write ?? ((file) => writeByFio(file, IMAGE_BYTES)))(source);
  const devcloud = await startDevcloud({ dir: home, volumeBytes });
  undo.after(() => devcloud.close());
  const [image] = devcloud.cloud.images.values();
  assert.ok(image);
  return {
    env: devcloud.env,
    image: { id: image.id, source, sha256: await sha256(source), byFio: write === undefined },
    attachments: () => Promise.resolve(devcloud.cloud.attachments.size),
  };
}

async function lab(undo: Undo, dir: string): Promise<Cloud> {
  const cloud = await testCloud(undo, dir);
  const image = cloud.images.find(({ attachable, multiattach }) => attachable && multiattach);
  assert.ok(image, 'there is a multiattach image');
  return {
    env: cloud.env,
    image: { ...image, byFio: false },
    attachments: async () => (await cloud.openstack.attachments.listForVolume(image.volume_id)).length,
  };
}

/** Lets `user` read the cloud's volumes below `dir`, which only root owns. */
async function openTo({ uid }: MountUser, dir: string): Promise<void> {
  await chmod(dir, 0o755);
  const { status, stderr } = await run('chown', ['-R', `${uid}:${uid}`, path.join(dir, 'cloud')]);
  assert.equal(status, 0, stderr);
}

/** Waits until nothing is open, ends the mount, and fails for whatever is left. */
export async function endsClean({ dir, mounted, attachments }: SupervisedWorld): Promise<void> {
  await eventually('no file is open', async () =>
    (await mounted.status()).open_files.length === 0 ? true : undefined,
  );
  assert.equal(await mounted.stop('SIGTERM'), 0, mounted.said.slice(-20).join('\n'));
  assert.equal(await attachments(), 0, 'no attachment is left');
  assert.deepEqual(await findServers(dir), [], 'no qemu-nbd is left');
  assert.deepEqual([...(await mountsBelow(dir)), ...(await filesBelow(path.join(dir, 'run')))], []);
}
