import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { neighbourLocks, novaHabits } from '../../src/attach/connectors/brick/neighbours.js';
import { temporaryFolder } from '../support/temporary.js';

const NOVA = `[DEFAULT]
#state_path = /elsewhere
[oslo_concurrency]
lock_path = $state_path/tmp
[libvirt]
volume_use_multipath = True
volume_enforce_multipath = false
num_volume_scan_tries = 7
`;

void it('finds where nova, cinder and glance of this host take their locks', async (test) => {
  const root = await temporaryFolder(test);
  for (const name of ['nova', 'cinder', 'glance']) await mkdir(join(root, 'etc', name), { recursive: true });
  for (const path of ['var/lib/nova/tmp', 'srv/cinder/locks', 'var/lock/brick', 'srv/glance'])
    await mkdir(join(root, path), { recursive: true });
  await writeFile(join(root, 'etc/nova/nova.conf'), NOVA);
  await writeFile(
    join(root, 'etc/cinder/cinder.conf'),
    '[DEFAULT]\nstate_path=/srv/cinder\n[oslo_concurrency]\nlock_path=$state_path/locks\n[nova]\nlock_path=/no\n',
  );
  await writeFile(
    join(root, 'etc/glance/glance-api.conf'),
    '[oslo_concurrency]\nlock_path = /srv/glance\n[os_brick]\n#lock_path = /also/nowhere\nlock_path = /var/lock/brick\n',
  );
  assert.deepEqual(
    (await neighbourLocks(root)).map((path) => path.slice(root.length)),
    ['/var/lib/nova/tmp', '/srv/cinder/locks', '/var/lock/brick', '/srv/glance'],
  );
  assert.deepEqual(await novaHabits(root), { multipath: true, enforceMultipath: false, scanAttempts: 7 });
});

void it('finds none where there is no neighbour', async (test) => {
  const root = await temporaryFolder(test);
  assert.deepEqual(await neighbourLocks(root), []);
  assert.deepEqual(await novaHabits(root), {
    multipath: undefined,
    enforceMultipath: undefined,
    scanAttempts: undefined,
  });
});
