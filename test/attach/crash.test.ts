/** A real process is killed before and after every change of its journal; the next start on the same state converges. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/async/clock.js';
import type { AttachableImage } from '../../src/attach/contract/lease.js';
import { endProcess } from '../../src/sys/processes/end-process.js';
import { findProcesses } from '../../src/sys/processes/find-processes.js';
import { type Devcloud, startDevcloud } from '../../devcloud/devcloud.js';
import { poolOnCloud } from './pool-on-cloud.js';

const CHILD = fileURLToPath(new URL('./crash-child.js', import.meta.url));
/** More changes than one life makes: the last child lives. */
const ENOUGH = 12;

describe('a daemon that is killed', { concurrency: true }, () => {
  let directory = '';
  let cloud: Devcloud | undefined;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'cinderfs-crash-'));
    cloud = await startDevcloud({ dir: join(directory, 'cloud'), volumeBytes: 'exact' });
  });
  after(async () => {
    await cloud?.close();
    await rm(directory, { recursive: true, force: true });
  });

  for (const multiattach of [true, false])
    it(`leaves nothing after its next start, wherever it died (${multiattach ? 'multiattach' : 'single'})`, async () => {
      assert.ok(cloud);
      const bytes = Buffer.alloc(100_000, 'x');
      const made = await cloud.addImage({ name: `crash-${multiattach}`, multiattach }, { data: bytes });
      const image = imageOf(made.id, `crash-${multiattach}`, bytes.length, made.volumeId ?? '', multiattach);
      const kinds = [];
      for (const when of ['before', 'after'])
        for (let number = 1, died = true; died; number++) {
          assert.ok(number < ENOUGH, 'a life has an end');
          const state = join(directory, `${multiattach}-${when}-${number}`);
          died = await live(cloud.env, state, image, when, number);
          await converge(cloud.env, state, image);
          if (died) kinds.push(`${when} ${number}`);
        }
      // reserve, export, connect, complete, attached, disconnect, delete, removed
      assert.equal(kinds.length, 16, kinds.join(', '));
    });
});

/** True when the child died as told; it fails the test when it ends in any other way. */
async function live(
  env: Readonly<Record<string, string>>,
  directory: string,
  image: AttachableImage,
  when: string,
  number: number,
): Promise<boolean> {
  const args = [CHILD, directory, JSON.stringify(image), when, String(number)];
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [status, signal] = (await once(child, 'exit')) as [number | null, string | null];
  assert.ok(signal === 'SIGKILL' || status === 0, `the child ended with ${String(status)} ${String(signal)}`);
  return signal === 'SIGKILL';
}

/** Starts on what the dead one left; afterwards nothing is left in Cinder, on the host, or in the journal. */
async function converge(
  env: Readonly<Record<string, string>>,
  directory: string,
  image: AttachableImage,
): Promise<void> {
  const socket = `--socket=${join(directory, 'run', 'nbd', `${image.volumeId}.sock`)}`;
  const { service, openstack, close } = await poolOnCloud(env, directory);
  try {
    await service.quiet();
    assert.deepEqual(await openstack.attachments.listForVolume(image.volumeId), []);
    assert.equal((await openstack.volumes.show(image.volumeId)).status, 'available');
    assert.deepEqual(await findProcesses('qemu-nbd', socket), []);
    assert.deepEqual(await readdir(join(directory, 'state', 'attachments')), []);
    assert.deepEqual(await readdir(join(directory, 'run', 'nbd')).catch(() => []), []);
  } finally {
    await close();
    for (const pid of await findProcesses('qemu-nbd', socket)) await endProcess(pid, systemClock);
  }
}

function imageOf(
  id: string,
  name: string,
  size: number,
  volumeId: string,
  multiattach: boolean,
): AttachableImage {
  return { id, name, size, volumeId, multiattach, diskFormat: 'raw' };
}
