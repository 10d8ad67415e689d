/** A virtual machine on an overlay of an image under the mount runs through kills and an upgrade of its engine. */
import assert from 'node:assert/strict';
import { cp, mkdir, open, truncate } from 'node:fs/promises';
import path from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sha256 } from '../support/cloud.js';
import { engineOf } from '../support/engines.js';
import { cinderfs, run } from '../support/program.js';
import { randomFor, someBytes } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';
import { moment } from '../support/time.js';
import { Undo } from '../support/undo.js';
import { VirtualMachine } from './virtual-machine.js';
import { endsClean, supervisedWorld, type SupervisedWorld } from './world.js';

const KILLS = 5;
/** What the guest reads whole, and the scratch behind it. */
const DISK_MIB = 20;
const GUEST = fileURLToPath(new URL('../../../test/supervisor/guest/', import.meta.url));

async function cannotRun(): Promise<string | false> {
  if (process.getuid?.() !== 0) return 'mounting needs root';
  if (process.env.CINDERFS_TEST_CLOUD === 'lab') return 'the image is made for the embedded cloud';
  if (process.arch !== 'x64') return `the guest is an amd64 machine, this is ${process.arch}`;
  const { stdout } = await run('qemu-system-x86_64', ['-accel', 'help']).catch(() => ({ stdout: '' }));
  return stdout.includes('tcg') ? false : 'qemu-system-x86_64 cannot run here';
}

it(
  'a guest runs on through kills and an upgrade of the engine below its disk',
  { skip: await cannotRun(), timeout: 600_000 },
  async (t) => {
    const boot = (await done('bash', [`${GUEST}build`])).trim();
    const digest = { sha256: '' };
    const world = await supervisedWorld(t, ['--no-passthrough'], {
      image: async (file) => (digest.sha256 = await makeDisk(t, boot, file)),
    });
    const guest = await bootOn(world, boot, digest.sha256);
    await guest.awaitPasses(1);
    const supervisor = world.mounted.child.pid ?? 0;
    const random = randomFor(t);
    for (let kills = 0; kills < KILLS; kills += 1) {
      if (kills === 3) await upgrade(world, guest);
      // Anywhere in a pass, which takes half a second.
      await moment(random.whole(0, 500));
      const engine = await engineOf(supervisor);
      assert.ok(engine);
      process.kill(engine, 'SIGKILL');
      await readsOn(guest);
    }
    const { supervision } = await world.mounted.status();
    assert.equal(supervision?.restarts, KILLS);
    t.diagnostic(`${guest.passes} passes over ${DISK_MIB} MiB`);
    await guest.quit();
    await endsClean(world);
  },
);

async function readsOn(guest: VirtualMachine): Promise<void> {
  await guest.awaitPasses(1);
  assert.equal(await guest.status(), 'running', guest.console.slice(-20).join('\n'));
}

async function upgrade({ mounted }: SupervisedWorld, guest: VirtualMachine): Promise<void> {
  const { status, stderr } = await cinderfs(['upgrade', mounted.mountpoint], mounted.env);
  assert.equal(status, 0, stderr);
  await readsOn(guest);
}

async function bootOn(
  { dir, target, undo }: SupervisedWorld,
  boot: string,
  digest: string,
): Promise<VirtualMachine> {
  const disk = path.join(dir, 'overlay.qcow2');
  await done('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', target.file, '-F', 'raw', disk]);
  const words = `mib=${DISK_MIB} sha256=${digest}`;
  return VirtualMachine.start({ boot, disk, words, socket: path.join(dir, 'qmp'), undo });
}

/** A disk with the guest's programs and data that no compression and no hole makes light; the digest of what it reads. */
async function makeDisk(t: { after(step: () => Promise<unknown>): void }, boot: string, file: string) {
  const undo = new Undo(t);
  const tree = await temporaryFolder(undo);
  for (const folder of ['bin', 'dev', 'proc']) await mkdir(path.join(tree, folder));
  await cp(`${boot}/busybox`, path.join(tree, 'bin/busybox'));
  await cp(`${GUEST}init`, path.join(tree, 'init'));
  const data = await open(path.join(tree, 'data'), 'wx');
  await data.write(someBytes((DISK_MIB - 4) * 2 ** 20));
  await data.close();
  await done('mke2fs', [
    '-q',
    '-t',
    'ext4',
    '-O',
    '^has_journal',
    '-m',
    '0',
    '-d',
    tree,
    file,
    `${DISK_MIB}M`,
  ]);
  const digest = await sha256(file);
  await truncate(file, (DISK_MIB + 1) * 2 ** 20);
  await undo.run();
  return digest;
}

async function done(command: string, args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await run(command, args);
  assert.equal(status, 0, stderr);
  return stdout;
}
