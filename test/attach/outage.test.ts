/** Cinder goes away in the middle of an attach: a delay, as long as the attach budget lasts. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import type { AttachableImage } from '../../src/attach/contract/lease.js';
import type { Journal } from '../../src/attach/journal/journal.js';
import type { AttachmentRecord } from '../../src/attach/journal/record.js';
import { CinderfsError } from '../../src/errors.js';
import { type Devcloud, startDevcloud } from '../../devcloud/devcloud.js';
import type { FaultSpec } from '../../devcloud/faults.js';
import { AttachWorld } from '../fakes/attach-world.js';
import { settle } from '../fakes/manual-clock.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';
import { once, rejectsWith } from './attach-testing.js';
import { type CloudPool, poolOnCloud } from './pool-on-cloud.js';

interface Scene {
  cloud: Devcloud;
  readonly image: AttachableImage;
  readonly pool: (before?: (record: AttachmentRecord) => Promise<void>) => Promise<CloudPool>;
  /** Nothing listens where the cloud was, for `ms`; then it is there again. */
  readonly goAway: (ms: number) => Promise<void>;
}

async function scene(t: TestContext, multiattach: boolean): Promise<Scene> {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const start = (port?: number): Promise<Devcloud> =>
    startDevcloud({ dir: `${dir}/cloud`, volumeBytes: 'exact', ...(port === undefined ? {} : { port }) });
  const stage = { cloud: await start() };
  let back: Promise<void> = Promise.resolve();
  undo.after(async () => {
    await back;
    await stage.cloud.close();
  });
  const made = await stage.cloud.addImage({ name: 'i', multiattach }, { data: Buffer.alloc(100_000) });
  const image = {
    id: made.id,
    name: 'i',
    size: 100_000,
    volumeId: made.volumeId ?? '',
    multiattach,
    diskFormat: 'raw',
  };
  const pool: Scene['pool'] = async (before = () => Promise.resolve()) => {
    const journalled = (journal: Journal): Journal => ({
      get: (volume) => journal.get(volume),
      list: () => journal.list(),
      remove: (volume) => journal.remove(volume),
      write: async (record) => {
        await before(record);
        await journal.write(record);
      },
    });
    // Without retries of its own the client sees each failure at once.
    const env = { ...stage.cloud.env, CINDERFS_HTTP_RETRIES: '0' };
    const made = await poolOnCloud(env, dir, { journalled, times: { orphanMs: 600, lingerMs: 60_000 } });
    undo.after(() => made.close());
    undo.after(() => made.service.drain({ deadlineMs: 20_000 }));
    return made;
  };
  const goAway = async (ms: number): Promise<void> => {
    const { port } = stage.cloud;
    await stage.cloud.close();
    back = new Promise((resolve, reject) => {
      systemClock.after(ms, () => {
        start(port).then((cloud) => {
          stage.cloud = cloud;
          resolve();
        }, reject);
      });
    });
  };
  return Object.assign(stage, { image, pool, goAway });
}

describe('an outage of Cinder that is shorter than the attach budget', { timeout: 120_000 }, () => {
  for (const multiattach of [true, false])
    for (const step of ['reserve', 'export', 'complete'] as const)
      it(`before ${step} only delays the open (${multiattach ? 'multiattach' : 'single'})`, async (t) => {
        const stage = await scene(t, multiattach);
        let left = 1;
        const { service } = await stage.pool(async (record) => {
          if (record.step === step && left-- > 0) await stage.goAway(1_000);
        });
        const lease = await service.acquire(stage.image, {});
        assert.deepEqual([...stage.cloud.cloud.attachments.keys()], [lease.attachmentId]);
        lease.release();
      });

  const faults: readonly FaultSpec[] = [
    { kind: 'status', status: 503, service: 'cinder', path: '/attachments*', count: 4 },
    { kind: 'status', status: 503, service: 'cinder', path: '/volumes*', count: 2 },
    { kind: 'drop', service: 'cinder', method: 'POST', path: '/attachments', count: 1 },
    { kind: 'drop-after', service: 'cinder', method: 'POST', path: '/attachments', count: 1 },
  ];
  for (const fault of faults)
    it(`that shows as ${fault.kind} of ${fault.path ?? ''} only delays the open`, async (t) => {
      const stage = await scene(t, true);
      const { service } = await stage.pool();
      stage.cloud.faults.add(fault);
      const lease = await service.acquire(stage.image, {});
      assert.deepEqual([...stage.cloud.cloud.attachments.keys()], [lease.attachmentId]);
      lease.release();
    });
});

describe('an outage of Cinder that lasts', () => {
  it('fails the open when the budget is over, and leaves nothing once Cinder is back', async () => {
    const world = new AttachWorld({ attachBudgetMs: 10_000, openMs: 60_000 });
    const image = world.addImage('v1');
    const down = new CinderfsError('http_failed', 'connection refused', { unsent: true });
    world.cinder.gate = () => Promise.resolve({ refuse: down });
    const failure = rejectsWith('attach_refused', world.pool.acquire(image));
    await world.clock.advance(20_000);
    await failure;
    world.cinder.gate = () => Promise.resolve(undefined);
    await world.clock.advance(120_000);
    assert.deepEqual(world.leftovers(), []);
  });

  it('is not waited for where the answer is no', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const broken = new CinderfsError('http_failed', 'the driver failed', { status: 500 });
    once(world, 'update', { refuse: broken });
    const failure = rejectsWith('attach_refused', world.pool.acquire(image));
    await settle();
    await failure;
  });
});
