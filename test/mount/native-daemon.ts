/** A daemon to be killed: mounts an empty catalog on the directory in its argument and says so. */
import { systemClock } from '../../src/async/clock.js';
import { createImageFs } from '../../src/fs/create-image-fs.js';
import { mountNative } from '../../src/fs/fuse-native/mount-native.js';
import { silentLog } from '../../src/log.js';
import { FakeCatalog } from '../fakes/fs-catalog.js';
import { FakePool } from '../fakes/fs-pool.js';

const filesystem = createImageFs({
  catalog: new FakeCatalog([]),
  pool: new FakePool(() => ({ kind: 'file', path: '/nonexistent' })),
  clock: systemClock,
  log: silentLog,
  status: () => '{}',
});
const mounted = await mountNative(filesystem, {
  mountpoint: process.argv[2] ?? '',
  fsname: 'cinderfs-test',
  allowOther: true,
  readTimeoutMs: 5000,
  openTimeoutMs: 5000,
  attributeTtlSeconds: 1,
  passthrough: false,
  log: silentLog,
});
process.stdout.write('mounted\n');
await mounted.ended;
