/** A cluster attaches one volume at once: everybody is served, soon, and nothing is left; also when hosts die in it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { AttachableImage, Lease } from '../../src/attach/contract/lease.js';
import { testCloud, type TestCloud, type TestImage } from '../support/cloud.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';
import { clusterHost, type ClusterHost } from './cluster-host.js';

const VICTIM = fileURLToPath(new URL('./victim.js', import.meta.url));
const REAL = process.env.CINDERFS_TEST_CLOUD === 'lab';
const HOSTS = Number(process.env.CINDERFS_STORM_HOSTS ?? (REAL ? 6 : 24));
const HOST_WORK_MS = REAL ? 1_500 : 100;
/** The last of them is served within this; docs/reliability.md has what a quiet machine takes. */
const LAST_MS = Number(process.env.CINDERFS_STORM_SECONDS ?? 60) * 1000;

interface Scene {
  readonly cloud: TestCloud;
  readonly image: TestImage;
  readonly dir: string;
  readonly undo: Undo;
}

async function scene(t: TestContext): Promise<Scene> {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const cloud = await testCloud(undo, dir);
  const backend = process.env.CINDERFS_STORM_BACKEND;
  const image = cloud.images.find(
    (one) => one.multiattach && one.attachable && (backend === undefined || one.backend === backend),
  );
  assert.ok(image, 'there is a multiattach image');
  return { cloud, image, dir, undo };
}

async function hosts({ cloud, image, dir, undo }: Scene, count: number): Promise<readonly ClusterHost[]> {
  const options = { env: cloud.env, dir, image, hostWorkMs: HOST_WORK_MS };
  const made: ClusterHost[] = [];
  for (let number = 1; number <= count; number++) {
    const host = await clusterHost({ ...options, name: `storm-${number}` });
    undo.after(() => letGo([host], []).finally(() => host.close()));
    made.push(host);
  }
  return made;
}

/** Everybody at once; resolves with the leases and the milliseconds each took, in the order of being served. */
async function storm(
  cluster: readonly ClusterHost[],
  image: TestImage,
): Promise<{ leases: Lease[]; times: number[] }> {
  const begun = performance.now();
  const times: number[] = [];
  const outcomes = await Promise.allSettled(
    cluster.map(async ({ pool }) => {
      const lease = await pool.acquire(attachable(image), {});
      times.push(performance.now() - begun);
      return lease;
    }),
  );
  const leases = outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
  return { leases, times };
}

async function letGo(cluster: readonly ClusterHost[], leases: readonly Lease[]): Promise<void> {
  for (const lease of leases) lease.release();
  for (const { name, pool } of cluster) assert.deepEqual(await pool.drain({ deadlineMs: 60_000 }), [], name);
}

async function nothingIsLeft({ cloud, image }: Scene): Promise<void> {
  assert.deepEqual(await cloud.openstack.attachments.listForVolume(image.volume_id), []);
  assert.equal((await cloud.openstack.volumes.show(image.volume_id)).status, 'available');
}

const attachable = (image: TestImage): AttachableImage => ({
  id: image.id,
  name: image.name,
  size: image.size,
  volumeId: image.volume_id,
  multiattach: image.multiattach,
  diskFormat: image.disk_format,
});

const say = (t: TestContext, times: readonly number[]): void =>
  t.diagnostic(`served after ${times.map((ms) => (ms / 1000).toFixed(1)).join(' ')} s`);

describe('a cluster storm', { timeout: 600_000 }, () => {
  it(`serves ${HOSTS} hosts that attach one volume at once, each one attachment, and leaves nothing`, async (t) => {
    const world = await scene(t);
    const cluster = await hosts(world, HOSTS);
    const { leases, times } = await storm(cluster, world.image);
    say(t, times);
    const { volume_id: volumeId } = world.image;
    assert.equal((await world.cloud.openstack.attachments.listForVolume(volumeId)).length, HOSTS);
    assert.ok(Math.max(...times) < LAST_MS, `the last was served after ${Math.max(...times)} ms`);
    await letGo(cluster, leases);
    await nothingIsLeft(world);
  });

  it('goes on as soon as the next start of a host that died between reserve and complete reaped it', async (t) => {
    const world = await scene(t);
    const cluster = await hosts(world, HOSTS - 2);
    const victims = await Promise.all(['victim-1', 'victim-2'].map((name) => victim(world, name)));
    for (const { begin } of victims) begin();
    const served = storm(cluster, world.image);
    const reaped = Promise.all(
      victims.map(async ({ name, ended }) => {
        assert.deepEqual(await ended, [null, 'SIGKILL']);
        const { cloud, dir, image, undo } = world;
        const host = await clusterHost({ name, dir, env: cloud.env, image, hostWorkMs: HOST_WORK_MS });
        undo.after(() => host.close());
        await host.pool.quiet();
      }),
    );
    await reaped;
    const { leases, times } = await served;
    say(t, times);
    await letGo(cluster, leases);
    await nothingIsLeft(world);
  });
});

interface Victim {
  readonly name: string;
  readonly begin: () => void;
  readonly ended: Promise<unknown>;
}

async function victim({ cloud, dir, image, undo }: Scene, name: string): Promise<Victim> {
  const options = JSON.stringify({ name, dir, image, hostWorkMs: HOST_WORK_MS });
  const child = spawn(process.execPath, [VICTIM, options, JSON.stringify(attachable(image))], {
    env: { PATH: process.env.PATH, ...cloud.env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  undo.after(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  await once(createInterface({ input: child.stdout }), 'line');
  return { name, begin: () => child.stdin.write('go\n'), ended };
}
