/** An operator deletes an image in Glance whose volume this host still holds, with no reader. */
import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import type { Devcloud, DevcloudOptions } from '../../devcloud/devcloud.js';
import type { Image } from '../../devcloud/model.js';
import { Client } from '../devcloud/client.js';
import { startDevcloud } from '../../devcloud/devcloud.js';
import { eventually } from '../support/eventually.js';
import { cinderfs, Mounted } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';
import { cannotMount } from '../fuse/engine-mount.js';

interface Scene {
  readonly devcloud: Devcloud;
  readonly admin: Client;
  readonly image: Image;
  readonly mounted: Mounted;
}

/** An image that was read a moment ago: its attachment lingers for an hour. */
async function scene(t: TestContext, options: Partial<DevcloudOptions> = {}): Promise<Scene> {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const devcloud = await startDevcloud({ ...options, dir: `${dir}/cloud` });
  undo.after(() => devcloud.close());
  const image = await devcloud.addImage({ name: 'golden' }, { data: Buffer.alloc(65_536, 'g') });
  const env = { ...devcloud.env, CINDERFS_LINGER: '3600', CINDERFS_IMAGE_LIST_TTL: '1' };
  const mounted = await Mounted.start({ dir, env, test: undo });
  await readFile(mounted.at(image.id));
  const [held] = (await mounted.status()).attachments;
  assert.equal(held?.state, 'lingering');
  return { devcloud, admin: await Client.login(devcloud, devcloud.envFor('admin')), image, mounted };
}

const remove = async ({ admin, image }: Scene): Promise<number> =>
  (await admin.glance('DELETE', `/v2/images/${image.id}`)).status;

const letGo = ({ devcloud, image }: Scene): Promise<true> =>
  eventually('it is let go', () =>
    Promise.resolve(
      devcloud.cloud.attachmentsOf(image.volumeId ?? '').length === 0 ? (true as const) : undefined,
    ),
  );

describe('an image that lingers here and is deleted', { skip: cannotMount, timeout: 120_000 }, () => {
  it('is not deleted, stays as it was for everybody, and goes after cinderfs release', async (t) => {
    const stage = await scene(t);
    const { devcloud, image, mounted } = stage;
    const before = structuredClone({ ...image, volume: devcloud.cloud.volumes.get(image.volumeId ?? '') });
    assert.equal(await remove(stage), 500);
    assert.deepEqual({ ...image, volume: devcloud.cloud.volumes.get(image.volumeId ?? '') }, before);
    assert.equal((await readFile(mounted.at(image.id))).length, 65_536);
    const { status, stderr } = await cinderfs(['release', image.id, mounted.mountpoint], mounted.env);
    assert.equal(status, 0, stderr);
    assert.equal(await remove(stage), 204);
    assert.equal(devcloud.cloud.volumes.has(image.volumeId ?? ''), false);
  });

  it('is let go at the next refresh where Glance deletes later (delayed_delete)', async (t) => {
    const stage = await scene(t, { delayedDelete: true });
    assert.equal(await remove(stage), 204);
    await letGo(stage);
    assert.equal(stage.devcloud.cloud.volumes.has(stage.image.volumeId ?? ''), false);
    await eventually('its name is gone', () =>
      stat(stage.mounted.at(stage.image.id)).then(
        () => undefined,
        () => true,
      ),
    );
  });

  it('is let go at the next refresh when it is deactivated first, and can be deleted then', async (t) => {
    const stage = await scene(t);
    const { admin, image } = stage;
    assert.equal((await admin.glance('POST', `/v2/images/${image.id}/actions/deactivate`)).status, 204);
    await letGo(stage);
    assert.equal(await remove(stage), 204);
  });
});
