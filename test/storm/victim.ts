/**
 * A host of a cluster that dies between reserving the volume and completing: Cinder lets nobody else in until its
 * reservation is gone. argv: its ClusterHostOptions and the image, as JSON.
 */
import type { AttachableImage } from '../../src/attach/contract/lease.js';
import type { Journal } from '../../src/attach/journal/journal.js';
import type { AttachmentRecord } from '../../src/attach/journal/record.js';
import { clusterHost, type ClusterHostOptions } from './cluster-host.js';

const [options = '', image = ''] = process.argv.slice(2);

const mortal = (journal: Journal): Journal => ({
  get: (volumeId) => journal.get(volumeId),
  list: () => journal.list(),
  remove: (volumeId) => journal.remove(volumeId),
  write: async (record: AttachmentRecord) => {
    await journal.write(record);
    if (record.step !== 'export') return;
    process.kill(process.pid, 'SIGKILL');
    await new Promise(() => undefined);
  },
});

const given = JSON.parse(options) as ClusterHostOptions;
const host = await clusterHost({ ...given, env: process.env, journalled: mortal });
process.stdout.write('READY\n');
process.stdin.once('data', () => {
  void host.pool.acquire(JSON.parse(image) as AttachableImage, {});
});
