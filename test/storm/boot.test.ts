/** A hypervisor boots 64 machines at once: from one cold image, and from 64 of them. One attachment per volume, no error. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import { startDevcloud } from '../../devcloud/devcloud.js';
import { testCloud } from '../support/cloud.js';
import { findServers, mountsBelow } from '../support/leftovers.js';
import { Mounted } from '../support/program.js';
import { someBytes } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const PROCESSES = 64;
const BYTES = 2 ** 20;
const REAL = process.env.CINDERFS_TEST_CLOUD === 'lab';

describe('a boot storm', { timeout: 600_000 }, () => {
  it(`${PROCESSES} processes open one cold image at once: one attachment, everybody reads right bytes`, async (t) => {
    const undo = new Undo(t);
    const dir = await temporaryFolder(undo);
    const cloud = await testCloud(undo, dir);
    const image = cloud.images.find(({ attachable, multiattach }) => attachable && multiattach);
    assert.ok(image);
    const mounted = await Mounted.start({ dir, env: cloud.env, test: undo });
    const jobs = Array.from({ length: PROCESSES }, () => [mounted.at(image.id), image.source] as const);
    t.diagnostic(await openAtOnce(jobs, undo));
    assert.equal((await cloud.openstack.attachments.listForVolume(image.volume_id)).length, 1);
    const asked = cloud.devcloud?.requests.entries.filter(isReserve).length ?? 1;
    assert.equal(asked, 1, 'Cinder was asked for one attachment');
    assert.equal(await mounted.stop('SIGTERM'), 0);
    assert.deepEqual(await cloud.openstack.attachments.listForVolume(image.volume_id), []);
    assert.equal((await cloud.openstack.volumes.show(image.volume_id)).status, 'available');
    assert.deepEqual([...(await findServers(dir)), ...(await mountsBelow(dir))], []);
  });

  it('as many processes as there are images each open another one: one attachment each', async (t) => {
    const undo = new Undo(t);
    const dir = await temporaryFolder(undo);
    const { env, images, requests, held } = REAL ? await realImages(undo, dir) : await manyImages(undo, dir);
    const mounted = await Mounted.start({ dir, env: { ...env, CINDERFS_LINGER: '5m' }, test: undo });
    t.diagnostic(
      await openAtOnce(
        images.map(({ id, source }) => [mounted.at(id), source] as const),
        undo,
      ),
    );
    assert.equal(requests(), images.length, 'Cinder was asked once for each');
    assert.equal(await mounted.stop('SIGTERM'), 0);
    assert.equal(await held(), 0, 'nothing is attached');
    assert.deepEqual([...(await findServers(dir)), ...(await mountsBelow(dir))], []);
  });
});

interface Many {
  readonly env: NodeJS.ProcessEnv;
  readonly images: readonly { readonly id: string; readonly source: string }[];
  /** Reservations that Cinder was asked for. */
  readonly requests: () => number;
  /** Attachments there are. */
  readonly held: () => Promise<number>;
}

async function manyImages(undo: Undo, dir: string): Promise<Many> {
  const devcloud = await startDevcloud({ dir: path.join(dir, 'cloud') });
  undo.after(() => devcloud.close());
  const images = [];
  for (let number = 1; number <= PROCESSES; number++) {
    const source = path.join(dir, `source-${number}`);
    await writeFile(source, someBytes(100_000));
    // Every other one may be attached once only: those do not linger.
    const spec = { name: `image-${number}`, multiattach: number % 2 === 0 };
    images.push({ id: (await devcloud.addImage(spec, { file: source })).id, source });
  }
  return {
    env: devcloud.env,
    images,
    requests: () => devcloud.requests.entries.filter(isReserve).length,
    held: () => Promise.resolve(devcloud.cloud.attachments.size),
  };
}

async function realImages(undo: Undo, dir: string): Promise<Many> {
  const cloud = await testCloud(undo, dir);
  const images = cloud.images.filter(({ attachable }) => attachable);
  return {
    env: cloud.env,
    images,
    requests: () => images.length, // a real Cinder keeps no count
    held: async () => {
      const lists = await Promise.all(
        images.map(({ volume_id: id }) => cloud.openstack.attachments.listForVolume(id)),
      );
      return lists.flat().length;
    },
  };
}

const isReserve = ({ method, resource }: { readonly method: string; readonly resource: string }): boolean =>
  method === 'POST' && resource === '/attachments';

/** Starts a process for each job, lets all of them open at the same moment, and waits; answers with how long it took. */
async function openAtOnce(jobs: readonly (readonly [string, string])[], undo: Undo): Promise<string> {
  const readers = jobs.map(([file, source]) => {
    const script = `read go; exec cmp -n ${BYTES} "$0" "$1"`;
    const child = spawn('sh', ['-c', script, file, source], { stdio: ['pipe', 'pipe', 'pipe'] });
    undo.after(() => child.kill('SIGKILL'));
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text: Buffer) => said.push(text.toString()));
    return { child, said };
  });
  await Promise.all(readers.map(({ child }) => once(child, 'spawn')));
  const began = performance.now();
  const times = readers.map(async ({ child, said }) => {
    child.stdin.end('go\n');
    const [status] = (await once(child, 'close')) as [number | null];
    assert.equal(status, 0, said.join(''));
    return (performance.now() - began) / 1000;
  });
  const seconds = (await Promise.all(times)).sort((one, other) => one - other);
  return `${jobs.length} processes; the first was done after ${seconds[0]?.toFixed(2) ?? '?'} s, the last after ${seconds.at(-1)?.toFixed(2) ?? '?'} s`;
}
