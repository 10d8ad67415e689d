/** The connector is an option: what the old one connected is taken over or removed by it after the option was changed. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import { endProcess } from '../../src/sys/processes/end-process.js';
import { findProcesses } from '../../src/sys/processes/find-processes.js';
import { startDevcloud } from '../../devcloud/devcloud.js';
import { Undo } from '../support/undo.js';
import { poolOnCloud } from './pool-on-cloud.js';

it('a volume that was connected by a connector that is not configured any more is let go of', async (t) => {
  const undo = new Undo(t);
  const directory = await mkdtemp(join(tmpdir(), 'changed-'));
  undo.after(() => rm(directory, { recursive: true, force: true }));
  const cloud = await startDevcloud({ dir: join(directory, 'cloud') });
  undo.after(() => cloud.close());
  const { id, volumeId = '' } = await cloud.addImage({ name: 'one' }, { data: Buffer.alloc(1000, 'x') });
  const image = { id, name: 'one', size: 1000, volumeId, multiattach: true, diskFormat: 'raw' };
  const socket = join(directory, 'run', 'nbd', `${volumeId}.sock`);
  undo.after(async () => {
    for (const pid of await findProcesses('qemu-nbd', `--socket=${socket}`))
      await endProcess(pid, systemClock);
  });

  const before = await poolOnCloud(cloud.env, directory, { connectors: undefined, connector: 'qemu' });
  const lease = await before.service.acquire(image, {});
  assert.equal(lease.source.kind, 'nbd');
  await before.close(); // as a crash: what is attached stays in the journal

  const after = await poolOnCloud(cloud.env, directory, { connectors: undefined, connector: 'local' });
  undo.after(after.close);
  await after.service.quiet();
  assert.deepEqual([...cloud.cloud.attachments.keys()], []);
  assert.deepEqual(await readdir(join(directory, 'run', 'nbd')), []);
  const next = await after.service.acquire(image, {});
  assert.equal(next.source.kind, 'file');
  next.release();
  assert.deepEqual(await after.service.drain({ deadlineMs: 10_000 }), []);
});
