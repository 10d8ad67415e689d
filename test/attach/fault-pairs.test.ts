/**
 * Every fault of the embedded cloud, alone and with every other, over real HTTP: an open ends with the image's bytes or
 * with an error that says why; afterwards the image can be opened, and nothing is left. Of the pairs a sample is tried,
 * the same every time; CINDERFS_FAULT_PAIRS says how many, `all` for each of them.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { AttachableImage } from '../../src/attach/contract/lease.js';
import { createAttachmentPool, type PoolService } from '../../src/attach/service.js';
import { connectOpenstack, type Openstack } from '../../src/cinder/openstack.js';
import { loadCloud } from '../../src/config/cloud.js';
import { loadConfig } from '../../src/config/load.js';
import { type Devcloud, startDevcloud } from '../../devcloud/devcloud.js';
import type { FaultSpec } from '../../devcloud/faults.js';
import { CinderfsError } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { fastClock } from '../fakes/fast-clock.js';
import { Random } from '../support/random.js';
import { seedFor } from '../support/seeds.js';

const PAIRS = process.env.CINDERFS_FAULT_PAIRS ?? '120';
const SEED = seedFor(1);
/** Cases at a time, each on a cloud of its own: most of the time they wait for a deadline. */
const CLOUDS = 12;
/** A deadline of 90 s is over in 4.5 s. */
const SPEED = 20;

const CALLS: Readonly<Record<string, Partial<FaultSpec>>> = {
  reserve: { service: 'cinder', method: 'POST', path: '/attachments' },
  export: { service: 'cinder', method: 'PUT', path: '/attachments/*' },
  complete: { service: 'cinder', method: 'POST', path: '/attachments/*' },
  delete: { service: 'cinder', method: 'DELETE', path: '/attachments/*' },
  look: { service: 'cinder', method: 'GET', path: '/attachments*' },
  volume: { service: 'cinder', method: 'GET', path: '/volumes/*' },
  login: { service: 'keystone' },
};
const EVERYWHERE: readonly Omit<FaultSpec, 'path'>[] = [
  { kind: 'latency', delayMs: 100 },
  { kind: 'status', status: 503 },
  { kind: 'drop' },
  { kind: 'drop-after' },
  { kind: 'hang' },
  { kind: 'hang-after' },
  { kind: 'expire-token' },
];
const AT_EXPORT: readonly FaultSpec[] = [
  { kind: 'attach-slow', delayMs: 100 },
  { kind: 'attach-stuck' },
  { kind: 'attach-refused' },
  { kind: 'connector-conflict' },
];

interface Strike {
  readonly name: string;
  readonly spec: FaultSpec;
}

const STRIKES: readonly Strike[] = [
  ...Object.entries(CALLS).flatMap(([call, where]) =>
    EVERYWHERE.map((fault) => ({ name: `${fault.kind} at ${call}`, spec: { ...where, ...fault, count: 1 } })),
  ),
  ...AT_EXPORT.map((spec) => ({ name: spec.kind, spec: { ...spec, count: 1 } })),
];

describe('faults over HTTP', { timeout: 3_600_000 }, () => {
  it(`${STRIKES.length} faults, each alone: right bytes or an error that says why, and nothing left`, async () => {
    await tryAll(STRIKES.map((strike) => [strike]));
  });

  const pairs = drawPairs();
  it(`${pairs.length} pairs of faults: the same`, async () => {
    await tryAll(pairs);
  });
});

function drawPairs(): readonly (readonly Strike[])[] {
  const all = STRIKES.flatMap((one, index) => STRIKES.slice(index).map((other) => [one, other]));
  if (PAIRS === 'all') return all;
  const random = new Random(SEED);
  return Array.from({ length: Number(PAIRS) }, () => random.pick(all));
}

async function tryAll(cases: readonly (readonly Strike[])[]): Promise<void> {
  const waiting = [...cases];
  const failures: string[] = [];
  const worker = async (): Promise<void> => {
    const world = await World.make();
    try {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const name = next.map((strike) => strike.name).join(' + ');
        await world.play(next).catch((error: unknown) => failures.push(`${name}: ${String(error)}`));
      }
    } finally {
      await world.close();
    }
  };
  await Promise.all(Array.from({ length: Math.min(CLOUDS, cases.length) }, worker));
  assert.deepEqual(failures, []);
}

/** A cloud, a session on it, and a new image and pool for every case. */
class World {
  #played = 0;
  readonly #dir: string;
  readonly #devcloud: Devcloud;
  readonly #openstack: Openstack;

  private constructor(dir: string, devcloud: Devcloud, openstack: Openstack) {
    this.#dir = dir;
    this.#devcloud = devcloud;
    this.#openstack = openstack;
  }

  static async make(): Promise<World> {
    const dir = await mkdtemp(join(tmpdir(), 'faults-'));
    const devcloud = await startDevcloud({ dir: join(dir, 'cloud'), volumeBytes: 'exact' });
    const loaded = loadConfig({ flags: {}, env: devcloud.env });
    const cloud = loadCloud({ loaded, env: devcloud.env, directory: dir });
    const { config } = loaded;
    const openstack = await connectOpenstack({ cloud, config, log: silentLog, clock: fastClock(SPEED) });
    return new World(dir, devcloud, openstack);
  }

  async play(strikes: readonly Strike[]): Promise<void> {
    const image = await this.#newImage();
    const home = join(this.#dir, `case-${this.#played}`);
    const pool = this.#newPool(home);
    await pool.start();
    try {
      for (const { spec } of strikes) this.#devcloud.faults.add(spec);
      await openAndClose(pool, image, 'may fail');
      await pool.quiet();
      this.#devcloud.faults.clear();
      await openAndClose(pool, image, 'must not fail').catch((error: unknown) => {
        // Who joins a login that hangs fails with it; the next one logs in anew.
        if (!CinderfsError.is(error) || error.code !== 'auth_unreachable') throw error;
        return openAndClose(pool, image, 'must not fail');
      });
      assert.deepEqual(await pool.drain({ deadlineMs: 300_000 }), []);
      this.#nothingIsLeft(image);
      assert.deepEqual(await readdir(join(home, 'state', 'attachments')), [], 'the journal is empty');
    } finally {
      this.#devcloud.faults.clear();
      await pool.close();
    }
  }

  async close(): Promise<void> {
    await this.#openstack.close();
    await this.#devcloud.close();
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #newImage(): Promise<AttachableImage> {
    const name = `image-${(this.#played += 1)}`;
    const multiattach = this.#played % 2 === 0;
    const bytes = Buffer.alloc(5_000, name);
    const { id, volumeId = '' } = await this.#devcloud.addImage({ name, multiattach }, { data: bytes });
    return { id, name, size: bytes.length, volumeId, multiattach, diskFormat: 'raw' };
  }

  #newPool(home: string): PoolService {
    const { attachments, volumes, clones, images } = this.#openstack;
    return createAttachmentPool({
      attachments,
      volumes,
      clones,
      images,
      stateDir: join(home, 'state'),
      runDir: join(home, 'run'),
      mountpoint: join(home, 'images'),
      mountId: 'faults',
      host: 'faults',
      connector: 'local',
      localDirectories: [this.#devcloud.env.CINDERFS_LOCAL_DIRECTORIES ?? ''],
      times: { lingerMs: 500 },
      log: silentLog,
      clock: fastClock(SPEED),
    });
  }

  #nothingIsLeft({ volumeId }: AttachableImage): void {
    const { attachments, volumes } = this.#devcloud.cloud;
    assert.deepEqual([...attachments.keys()], [], 'Cinder has no attachment');
    assert.equal(volumes.get(volumeId)?.status, 'available');
  }
}

async function openAndClose(
  pool: PoolService,
  image: AttachableImage,
  how: 'may fail' | 'must not fail',
): Promise<void> {
  try {
    const lease = await pool.acquire(image, {});
    assert.equal(lease.volumeId, image.volumeId);
    assert.ok(lease.source.kind === 'file' && lease.source.path.endsWith(image.volumeId));
    lease.release();
  } catch (error) {
    if (how === 'must not fail' || !CinderfsError.is(error) || error.code === 'internal') throw error;
  }
}
