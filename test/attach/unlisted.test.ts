/** Whatever takes an image out of the list, its open files are served while its volume is attached. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import type { Lease } from '../../src/attach/contract/lease.js';
import { ImageCatalog } from '../../src/cinder/catalog/catalog.js';
import { Images } from '../../src/cinder/glance/images.js';
import { systemClock } from '../../src/async/clock.js';
import { CinderfsError } from '../../src/errors.js';
import { type Devcloud, startDevcloud } from '../../devcloud/devcloud.js';
import type { Image, Volume } from '../../devcloud/model.js';
import { silentLog } from '../../src/log.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';
import { type CloudPool, poolOnCloud } from './pool-on-cloud.js';

interface Scene {
  readonly cloud: Devcloud;
  readonly image: Image;
  readonly volume: Volume;
  readonly catalog: ImageCatalog;
  readonly pool: CloudPool;
  readonly lease: Lease;
}

/** An image that is open; its catalog looks only when it is told to. */
async function scene(
  t: TestContext,
  { contested = false }: { contested?: boolean | undefined } = {},
): Promise<Scene> {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const cloud = await startDevcloud({
    dir: `${dir}/cloud`,
    volumeBytes: 'exact',
    showLocations: false,
    locationsApi: contested,
  });
  undo.after(() => cloud.close());
  const image = await cloud.addImage({ name: 'served' }, { data: Buffer.alloc(100_000, 'x') });
  const volume = cloud.cloud.volumes.get(image.volumeId ?? '');
  assert.ok(volume);
  // It sorts before the image's own.
  const rival = '00000000-0000-4000-8000-000000000000';
  if (contested) cloud.cloud.volumes.set(rival, { ...volume, id: rival });
  const pool = await poolOnCloud(cloud.env, dir, { watchMs: 50 });
  undo.after(() => pool.close());
  const { session, volumes } = pool.openstack;
  const catalog = new ImageCatalog({
    images: new Images(session, 1000),
    volumes,
    clock: systemClock,
    log: silentLog,
    ttlMs: 3_600_000,
    minRefreshIntervalMs: 0,
  });
  undo.after(() => catalog.stop());
  catalog.onChange((snapshot) => pool.service.review(snapshot));
  await catalog.refresh();
  const listed = catalog.snapshot.images.get(image.id);
  assert.ok(listed);
  const lease = await pool.service.acquire(listed, {});
  undo.after(() => pool.service.drain({ deadlineMs: 10_000 }));
  undo.after(() => lease.release());
  return { cloud, image, volume, catalog, pool, lease };
}

interface Disturbance {
  readonly what: string;
  readonly disturb: (scene: Scene) => unknown;
  /** Another volume says that it holds the image, too: only Glance's locations API tells which does. */
  readonly contested?: true;
  /** The image is to be found all the same. */
  readonly listed?: true;
}

const DISTURBANCES: readonly Disturbance[] = [
  { what: 'is deactivated', disturb: ({ image }) => (image.status = 'deactivated') },
  { what: 'is hidden', disturb: ({ image }) => (image.hidden = true) },
  {
    what: 'becomes private',
    disturb: ({ image }) => {
      image.visibility = 'private';
      image.owner = 'another-project';
    },
  },
  { what: 'has a volume in error_extending', disturb: ({ volume }) => (volume.status = 'error_extending') },
  { what: 'has a volume in error', disturb: ({ volume }) => (volume.status = 'error') },
  { what: 'is deleted in Glance', disturb: ({ image }) => (image.status = 'deleted') },
  {
    what: 'is missing in a listing without entries',
    disturb: ({ cloud }) => cloud.faults.add({ kind: 'short-list', service: 'glance', path: '/images' }),
  },
  {
    what: 'is in a volume that is missing in a listing without entries',
    disturb: ({ cloud }) => cloud.faults.add({ kind: 'short-list', service: 'cinder', path: '/volumes*' }),
  },
  {
    what: 'changes while the lookup of its location fails',
    contested: true,
    disturb: ({ cloud, image }) => {
      image.updatedAt += 5_000;
      cloud.faults.add({ kind: 'status', service: 'glance', path: '/images/*/locations' });
    },
    listed: true,
  },
];

describe('an open image that', { timeout: 120_000 }, () => {
  for (const { what, disturb, contested, listed = false } of DISTURBANCES)
    it(`${what} is served on`, async (t) => {
      const stage = await scene(t, { contested });
      const { cloud, image, volume, catalog, lease } = stage;
      disturb(stage);
      await catalog.refresh();
      assert.equal(catalog.snapshot.images.get(image.id)?.volumeId, listed ? volume.id : undefined);
      await asked(cloud);
      assert.equal(lease.fenced.aborted, false, String(lease.fenced.reason));
    });

  it('has lost its attachment is cut all the same', async (t) => {
    const { cloud, image, catalog, lease } = await scene(t);
    image.status = 'deactivated';
    await catalog.refresh();
    await cloud.adminFaults.detach(lease.attachmentId);
    if (!lease.fenced.aborted) await once(lease.fenced, 'abort');
    assert.equal(CinderfsError.from(lease.fenced.reason).code, 'attachment_lost');
  });
});

/** The watcher has asked Cinder twice about what is held. */
async function asked({ requests }: Devcloud): Promise<void> {
  const count = (): number =>
    requests.entries.filter(
      ({ method, resource }) => method === 'GET' && /^\/attachments\/[^/]+$/.test(resource),
    ).length;
  const before = count();
  await eventually('Cinder is asked', () => Promise.resolve(count() >= before + 2 || undefined));
}
