/** A volume whose connection vanished comes back as what it was: its format included. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import type { ConnectRequest } from '../../src/attach/connection/connector.js';
import type { AttachableImage, Lease } from '../../src/attach/contract/lease.js';
import { CinderfsError } from '../../src/errors.js';
import { AttachWorld } from '../fakes/attach-world.js';
import { settle } from '../fakes/manual-clock.js';

const V1 = '1e035fa6-7d97-400f-aa2d-cea1d44e4461';
const BASE = `volume-${V1}`;
const uuid = (n: number): string => `2f1c7b7e-0f5c-4d0a-9d57-${String(n).padStart(12, '0')}`;
const OVERLAY = `${BASE}.${uuid(1)}`;

interface Scene {
  readonly world: AttachWorld;
  readonly image: AttachableImage;
  /** What the connector was asked for, in order. */
  readonly requests: ConnectRequest[];
}

function sceneOf(told: Readonly<Record<string, unknown>>): Scene {
  const world = new AttachWorld();
  const requests: ConnectRequest[] = [];
  const { host } = world;
  const connect = host.connect.bind(host);
  host.connect = (request, plan) => {
    requests.push(request);
    return connect(request, plan);
  };
  world.cinder.protocol = 'nfs';
  host.protocols = ['nfs'];
  tell(world, told);
  const hashValue = createHash('sha512').update(`bytes of ${V1}`).digest('hex');
  return { world, requests, image: { ...world.addImage(V1), hashAlgorithm: 'sha512', hashValue } };
}

function tell(world: AttachWorld, told: Readonly<Record<string, unknown>>): void {
  world.cinder.info = { export: '192.0.2.1:/volumes', ...told };
}

/** The connection vanishes; resolves once the volume is connected again, or fenced. */
async function vanish({ world }: Scene): Promise<void> {
  world.host.vanish(V1);
  await settle();
}

function isFenced({ fenced }: Lease, why: RegExp): void {
  assert.equal(fenced.aborted, true);
  assert.ok(CinderfsError.is(fenced.reason), String(fenced.reason));
  assert.equal(fenced.reason.code, 'identity_mismatch');
  assert.match(fenced.reason.message, why);
}

describe('a volume that was raw and is connected again', () => {
  const changes: Record<string, Readonly<Record<string, unknown>>> = {
    'is qcow2': { name: BASE, format: 'qcow2' },
    'is the overlay of a snapshot, in the words of Cinder until 2025.1': { name: OVERLAY, format: 'raw' },
    'is the overlay of a snapshot, in the words of Cinder since 2025.2': { name: OVERLAY, format: 'qcow2' },
  };
  for (const [what, told] of Object.entries(changes))
    it(`is fenced, and not connected, where it ${what}`, async () => {
      const scene = sceneOf({ name: BASE, format: 'raw' });
      const lease = await scene.world.pool.acquire(scene.image);
      tell(scene.world, told);
      await vanish(scene);
      isFenced(lease, /was raw, and is not any more/);
      assert.equal(scene.requests.length, 1);
      await scene.world.pool.quiet();
      assert.deepEqual(scene.world.leftovers(), []);
    });

  it('is read on where it still is', async () => {
    const scene = sceneOf({ name: BASE, format: 'raw' });
    const lease = await scene.world.pool.acquire(scene.image);
    await vanish(scene);
    assert.equal(lease.fenced.aborted, false);
    assert.equal(scene.requests.length, 2);
    lease.release();
  });
});

describe('a volume with snapshots that is connected again', () => {
  it('is read through the snapshots that Cinder lists by then', async () => {
    const scene = sceneOf({ name: OVERLAY, format: 'qcow2' });
    scene.world.cinder.snapshotIds = [uuid(1)];
    const lease = await scene.world.pool.acquire(scene.image);
    scene.world.cinder.snapshotIds = [uuid(1), uuid(2)];
    tell(scene.world, { name: `${BASE}.${uuid(2)}`, format: 'qcow2' });
    await vanish(scene);
    assert.equal(lease.fenced.aborted, false);
    const asked = scene.requests.map(({ snapshots, compared }) => ({ snapshots, compared }));
    assert.deepEqual(asked, [
      { snapshots: [uuid(1)], compared: true },
      { snapshots: [uuid(1), uuid(2)], compared: true },
    ]);
    lease.release();
  });

  it('is fenced where Cinder does not list them', async () => {
    const scene = sceneOf({ name: OVERLAY, format: 'qcow2' });
    const lease = await scene.world.pool.acquire(scene.image);
    scene.world.cinder.gate = (call) =>
      Promise.resolve(
        call === 'snapshots'
          ? { refuse: new CinderfsError('not_found', 'gone', { status: 404 }) }
          : undefined,
      );
    await vanish(scene);
    assert.equal(lease.fenced.aborted, true);
    assert.equal(scene.requests.length, 1);
  });
});
