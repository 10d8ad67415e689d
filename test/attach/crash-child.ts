/**
 * One life of a daemon that may end at a journal write: attach, read nothing, close, detach, drain.
 * argv: directory, image as JSON, `before` or `after`, the number of the change to die at.
 */
import type { Journal } from '../../src/attach/journal/journal.js';
import type { AttachableImage } from '../../src/attach/contract/lease.js';
import { poolOnCloud } from './pool-on-cloud.js';

const [directory = '', image = '', when = '', number = ''] = process.argv.slice(2);
let changes = 0;

/** SIGKILL, as a power cut: nothing of this process runs after it. */
function die(): Promise<never> {
  process.kill(process.pid, 'SIGKILL');
  return new Promise(() => undefined);
}

async function change(write: () => Promise<void>): Promise<void> {
  const last = ++changes === Number(number);
  if (last && when === 'before') await die();
  await write();
  if (last && when === 'after') await die();
}

const mortal = (journal: Journal): Journal => ({
  get: (volumeId) => journal.get(volumeId),
  list: () => journal.list(),
  write: (record) => change(() => journal.write(record)),
  remove: (volumeId) => change(() => journal.remove(volumeId)),
});

const env = Object.fromEntries(Object.entries(process.env).map(([key, value]) => [key, value ?? '']));
const { service, close } = await poolOnCloud(env, directory, { journalled: mortal });
const lease = await service.acquire(JSON.parse(image) as AttachableImage, {});
lease.release();
await service.drain({ deadlineMs: 30_000 });
await close();
console.log(`lived through ${changes} changes`);
