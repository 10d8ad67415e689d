import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, chown, lchown, mkdir, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
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

/** As uid nobody: puts a link to the second argument in place of whatever appears in the first, until its stdin ends. */
const RACER = `
import os, select, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
directory, target = sys.argv[1:]
os.chdir(directory)
print('ready', flush=True)
turn = 0
while True:
    turn += 1
    if turn % 64 == 0 and select.select([sys.stdin], [], [], 0)[0]:
        break
    for name in os.listdir('.'):
        try:
            os.unlink(name)
            os.symlink(target, name)
        except OSError:
            pass
`;

/** Takes a new lock in the directory, as each volume has one of its own, as often as the first argument says. */
const MANY = `
import sys
sys.path.insert(0, '${MODULES}')
from brick.locks import host_lock
for number in range(int(sys.argv[1])):
    try:
        with host_lock({'lock_names': [f'glance_store-{number}'], 'lock_directories': sys.argv[2:], 'lock_seconds': 0}):
            pass
    except Exception:
        pass
print('done', flush=True)
`;

void describe('what the owner of a lock directory puts there', { skip: process.getuid?.() !== 0 }, () => {
  const scene = async (test: TestContext): Promise<{ theirs: string; roots: string; lock: string }> => {
    const folder = await temporaryFolder(test);
    await chmod(folder, 0o755);
    const [theirs, roots] = [join(folder, 'theirs'), join(folder, 'roots')];
    await mkdir(theirs);
    await chown(theirs, 65_534, 65_534);
    await mkdir(roots, { mode: 0o700 });
    await writeFile(join(roots, 'secret'), 'of root', { mode: 0o600 });
    return { theirs, roots, lock: join(theirs, LOCK) };
  };
  const ownerOf = async (path: string): Promise<number> => (await stat(path)).uid;

  void it('as a symbolic link gives it no file of root, whether that exists or not', async (test) => {
    const { theirs, roots, lock } = await scene(test);
    for (const target of ['secret', 'absent']) {
      await rm(lock, { force: true });
      await symlink(join(roots, target), lock);
      await lchown(lock, 65_534, 65_534);
      assert.equal((await Contender.start(test, OURS, '1', theirs)).said, 'failed', target);
    }
    assert.equal(await ownerOf(join(roots, 'secret')), 0);
    await assert.rejects(stat(join(roots, 'absent')), { code: 'ENOENT' });
  });

  void it('as a fifo or a directory is refused at once', { timeout: 20_000 }, async (test) => {
    const { theirs, lock } = await scene(test);
    for (const what of ['mkfifo', 'mkdir']) {
      await rm(lock, { force: true, recursive: true });
      execFileSync(what, [lock]);
      await chown(lock, 65_534, 65_534);
      const started = performance.now();
      assert.equal((await Contender.start(test, OURS, '30', theirs)).said, 'failed', what);
      assert.ok(performance.now() - started < 10_000, `${what} held us`);
    }
  });

  void it('in a race with us changes the owner of no file of root', { timeout: 60_000 }, async (test) => {
    const { theirs, roots } = await scene(test);
    const racer = await Contender.start(test, RACER, theirs, join(roots, 'secret'));
    assert.equal((await Contender.start(test, MANY, '300', theirs)).said, 'done');
    await racer.end();
    assert.equal(await ownerOf(join(roots, 'secret')), 0);
  });

  void it('in place of the directory itself leads us nowhere', async (test) => {
    const { theirs, roots } = await scene(test);
    await symlink(roots, join(theirs, 'locks'));
    await lchown(join(theirs, 'locks'), 65_534, 65_534);
    const contender = await Contender.start(test, OURS, '1', join(theirs, 'locks'));
    assert.equal(contender.said, 'bad_request');
    assert.deepEqual(await readdir(roots), ['secret']);
  });
});
