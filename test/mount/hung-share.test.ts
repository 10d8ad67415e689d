/** A share that does not answer: a mount whose server is stopped, so that whoever looks at a path of it waits in the kernel. */
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { AttachableImage } from '../../src/attach/contract/lease.js';
import type { PoolOptions } from '../../src/attach/pool-options.js';
import { type Devcloud, startDevcloud } from '../../devcloud/devcloud.js';
import { rejectsWith } from '../attach/attach-testing.js';
import { type CloudPool, poolOnCloud } from '../attach/pool-on-cloud.js';
import { cannotMount } from '../fuse/engine-mount.js';
import { SourceProcess } from '../fuse/source-process.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const BYTES = 2 ** 20;

interface Scene {
  readonly cloud: Devcloud;
  readonly source: SourceProcess;
  readonly undo: Undo;
  readonly dir: string;
  /** A pool of its own process would have; more than one on the same state directory, one after the other. */
  readonly pool: (options?: Partial<PoolOptions>) => Promise<CloudPool>;
  readonly add: (path?: string) => Promise<AttachableImage>;
}

async function scene(t: TestContext): Promise<Scene> {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const cloud = await startDevcloud({ dir: `${dir}/cloud`, volumeBytes: 'exact' });
  undo.after(() => cloud.close());
  const source = await SourceProcess.start(undo, BYTES);
  let images = 0;
  return {
    cloud,
    source,
    undo,
    dir,
    pool: (options) =>
      poolOnCloud(cloud.env, dir, {
        connectors: undefined,
        connector: 'local',
        attachLimit: 4,
        localDirectories: [dirname(source.file), cloud.env.CINDERFS_LOCAL_DIRECTORIES ?? ''],
        times: { lingerMs: 60_000, orphanMs: 300, lookMs: 1_000, openMs: 30_000 },
        ...options,
      }),
    add: async (path) => {
      images += 1;
      const made = await cloud.addImage({ name: `image-${images}` }, { data: Buffer.alloc(BYTES) });
      const volume = cloud.cloud.volumes.get(made.volumeId ?? '');
      assert.ok(volume);
      if (path !== undefined) volume.path = path;
      const { id: volumeId, multiattach } = volume;
      return { id: made.id, name: `image-${images}`, size: BYTES, volumeId, multiattach, diskFormat: 'raw' };
    },
  };
}

describe('a share that hangs', { skip: cannotMount, timeout: 120_000 }, () => {
  it('takes neither slots nor threads nor reservations from the rest, and holds up no end', async (t) => {
    const { cloud, source, undo, pool, add } = await scene(t);
    const share = dirname(source.file);
    const dead = await Promise.all(Array.from({ length: 12 }, (_, n) => add(`${share}/volume-${n}`)));
    const alive = await add();
    const { service, close } = await pool();
    undo.after(close);
    source.stop();
    await Promise.all(dead.map((image) => rejectsWith('host_hung', service.acquire(image, {}))));
    const lease = await service.acquire(alive, {});
    assert.deepEqual(
      [...cloud.cloud.attachments.keys()],
      [lease.attachmentId],
      'no other host waits for a volume on the share',
    );
    assert.equal(service.figures()?.gauges.host_calls_hung, 1, 'one of four threads');
    // The threads that are left serve everybody else.
    await Promise.all(Array.from({ length: 8 }, () => stat('/')));
    lease.release();
    assert.deepEqual(await service.drain({ deadlineMs: 20_000 }), []);
    source.resume();
    await eventually('the calls that hung have ended', () =>
      Promise.resolve(service.figures()?.gauges.host_calls_hung === 0 || undefined),
    );
  });

  it('delays no start, and what was attached on it is adopted when it answers', async (t) => {
    const { cloud, source, undo, pool, add } = await scene(t);
    const held = await add(source.file);
    const first = await pool();
    undo.after(() => first.close());
    await first.service.acquire(held, {});
    await first.close();
    source.stop();
    const second = await pool({ inPlace: true });
    undo.after(() => second.close());
    (await second.service.acquire(await add(), {})).release();
    assert.equal(second.service.report().find(({ imageId }) => imageId === held.id)?.state, 'attaching');
    source.resume();
    const lease = await second.service.acquire(held, {});
    assert.ok(cloud.cloud.attachments.has(lease.attachmentId), 'the same attachment');
    lease.release();
    assert.deepEqual(await second.service.drain({ deadlineMs: 20_000 }), []);
  });
});
