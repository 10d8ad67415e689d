import assert from 'node:assert/strict';
import { chown, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../support/temporary.js';
import { Contender, FASTENERS } from './contender.js';

const MODULES = fileURLToPath(new URL('../../../bin', import.meta.url));
const LOCK = 'os-brick-connect_volume';

/** Takes it as cinderfs-brick does, in every directory named. */
const OURS = `
import sys
sys.path.insert(0, '${MODULES}')
from brick.locks import host_lock
from brick.refusal import Refusal
try:
    with host_lock({'lock_directories': sys.argv[2:], 'lock_seconds': float(sys.argv[1])}):
        print('held', flush=True)
        sys.stdin.read()
except Refusal as refusal:
    print(refusal.code, flush=True)
`;

void it("waits for os-brick's lock, and gets it when os-brick lets go", async (test) => {
  const directory = await temporaryFolder(test);
  const neighbour = await Contender.start(test, FASTENERS, join(directory, LOCK), '5');
  assert.equal(neighbour.said, 'held');
  assert.equal((await Contender.start(test, OURS, '0.3', directory)).said, 'busy');
  await neighbour.end();
  assert.equal((await Contender.start(test, OURS, '5', directory)).said, 'held');
});

void it('keeps os-brick out until it lets go, and when it is killed', async (test) => {
  const directory = await temporaryFolder(test);
  const ours = await Contender.start(test, OURS, '5', directory);
  assert.equal(ours.said, 'held');
  assert.equal((await Contender.start(test, FASTENERS, join(directory, LOCK), '0.3')).said, 'refused');
  await ours.end('SIGKILL');
  assert.equal((await Contender.start(test, FASTENERS, join(directory, LOCK), '5')).said, 'held');
});

void it('takes the lock of every service, in one order whatever the order they are named in', async (test) => {
  const folder = await temporaryFolder(test);
  const [nova, glance] = [join(folder, 'nova'), join(folder, 'glance')];
  await mkdir(nova);
  await mkdir(glance);
  // Refused by the second in order, it must hold the first and no more: the first is glance by name.
  const neighbour = await Contender.start(test, FASTENERS, join(glance, LOCK), '5');
  assert.equal((await Contender.start(test, OURS, '0.3', nova, glance)).said, 'busy');
  await assert.rejects(stat(join(nova, LOCK)), { code: 'ENOENT' });
  await neighbour.end();
  const ours = await Contender.start(test, OURS, '5', nova, glance);
  assert.equal(ours.said, 'held');
  for (const directory of [nova, glance])
    assert.equal((await Contender.start(test, FASTENERS, join(directory, LOCK), '0.2')).said, 'refused');
});

void it("makes a lock file that the directory's owner can open", async (test) => {
  if (process.getuid?.() !== 0) {
    test.skip('only root can give a directory away');
    return;
  }
  const directory = await temporaryFolder(test);
  await chown(directory, 65_534, 65_534);
  await Contender.start(test, OURS, '5', directory);
  const { uid, gid } = await stat(join(directory, LOCK));
  assert.deepEqual({ uid, gid }, { uid: 65_534, gid: 65_534 });
});
