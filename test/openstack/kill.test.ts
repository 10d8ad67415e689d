/**
 * kill -9 on the real OpenStack, at random moments, while images of every backend are being opened, read and closed by
 * every kind of reader. An engine that dies is followed by another; when its supervisor is dead too, the next start
 * takes over or undoes what is left. CINDERFS_KILLS says how often (200 in docs/history/reliability.md), CINDERFS_KILL_EXCEPT
 * which images (names, comma between) are somebody else's meanwhile.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { it, type TestContext } from 'node:test';
import { count, listCounts } from '../soak/tally.js';
import { testCloud, type TestCloud, type TestImage } from '../support/cloud.js';
import { enginesOn } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { filesBelow, findServers, mountsBelow } from '../support/leftovers.js';
import type { Random } from '../support/random.js';
import { randomFor } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';
import { moment } from '../support/time.js';
import { Undo } from '../support/undo.js';
import { KillLoad } from './kill-load.js';
import { MortalMount } from './mortal-mount.js';

const KILLS = Number(process.env.CINDERFS_KILLS ?? 8);
const EXCEPT = (process.env.CINDERFS_KILL_EXCEPT ?? '').split(',');
const LANES = 6;
/** How long a process lives, in milliseconds: an attach on the real Cinder takes one to three seconds. */
const LIFE_MS = [200, 5_000] as const;
/** An unanswered reservation is settled after 30 s; 90 s is how long a call of the backend may take. */
const REST_MS = 240_000;
/** qemu-nbd for every backend, and no linger to speak of: what a crash leaves behind is the harder case. */
const SETTINGS = {
  CINDERFS_CONNECTOR: 'qemu',
  CINDERFS_LINGER: '300ms',
  CINDERFS_ATTACH_BUDGET: '45s',
  CINDERFS_OPEN_TIMEOUT: '60s',
};

it(`leaves nothing after ${KILLS} kills under load over every backend`, { timeout: 7_200_000 }, async (t) => {
  assert.equal(process.env.CINDERFS_TEST_CLOUD, 'lab', 'npm run test:openstack runs this');
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const cloud = await testCloud(undo, dir);
  const images = cloud.images.filter(
    ({ attachable, size, name }) => attachable && size < 2 ** 30 && !EXCEPT.includes(name),
  );
  const random = randomFor(t);
  const mount = new MortalMount({ dir, env: { ...cloud.env, ...SETTINGS }, undo });
  await mount.revive(true);
  const scratch = path.join(dir, 'copies');
  const load = await KillLoad.start({
    mountpoint: mount.mountpoint,
    images,
    scratch,
    lanes: LANES,
    random: random.fork(),
  });
  undo.after(() => load.stop());
  await killAll(t, { mount, load, random, dir });
  const last = await mount.revive(true);
  await load.stop();
  await eventually(
    'nothing is attached',
    async () => ((await left(cloud, images, dir)).length === 0 ? true : undefined),
    REST_MS,
  ).catch(async () => assert.deepEqual(await left(cloud, images, dir), []));
  assert.equal(await last?.stop('SIGTERM'), 0, last?.said.slice(-5).join('\n'));
  const files = [...(await filesBelow(path.join(dir, 'run'))), ...(await filesBelow(scratch))];
  assert.deepEqual([...files, ...(await mountsBelow(dir)), ...(await enginesOn(mount.mountpoint))], []);
  assert.deepEqual(load.wrong, []);
  assert.ok(load.readers > KILLS, 'most readers had an image to read');
});

interface Killing {
  readonly mount: MortalMount;
  readonly load: KillLoad;
  readonly random: Random;
  readonly dir: string;
}

/** The last one is of a whole host: after it somebody has to start the mount. */
async function killAll(t: TestContext, { mount, load, random, dir }: Killing): Promise<void> {
  const [killed, found] = [new Map<string, number>(), new Map<string, number>()];
  for (let kill = 1; kill <= KILLS; kill++) {
    // One in four dies while it may still be starting.
    await mount.revive(random.chance(0.75));
    await moment(random.whole(...LIFE_MS));
    const victim = kill === KILLS ? 'host' : random.pick(mount.victims);
    await mount.kill(victim);
    count(killed, victim);
    for (const step of await stepsIn(dir)) count(found, step);
    if (kill % 20 === 0 || kill === KILLS)
      t.diagnostic(
        `killed: ${listCounts(killed)}; ${load.says()}; in the journal after a kill: ${listCounts(found)}`,
      );
  }
}

/** Which step of the journal each volume was in when the daemon died. */
async function stepsIn(dir: string): Promise<readonly string[]> {
  const journal = path.join(dir, 'state', 'attachments');
  const names = (await readdir(journal).catch(() => [])).filter((name) => !name.startsWith('.'));
  const texts = await Promise.all(
    names.map((name) => readFile(path.join(journal, name), 'utf8').catch(() => '')),
  );
  return texts.map((text) => /"step":\s*"(\w+)"/.exec(text)?.[1] ?? 'unreadable');
}

/**
 * Attachments, volumes that are not available, qemu-nbd processes, journal entries, files of ours. A volume that another
 * mount has attached meanwhile says so itself.
 */
async function left(cloud: TestCloud, images: readonly TestImage[], dir: string): Promise<readonly string[]> {
  const there: string[] = [];
  for (const { name, volume_id: volumeId } of images) {
    const { status, attachments } = await cloud.openstack.volumes.show(volumeId);
    const others = attachments
      .filter(({ device }) => isOfAnother(dir, device))
      .map((one) => one.attachmentId);
    for (const { id, status: how } of await cloud.openstack.attachments.listForVolume(volumeId))
      if (!others.includes(id)) there.push(`attachment ${id} of ${name} is ${how}`);
    if (status !== 'available' && others.length === 0) there.push(`${name} is ${status}`);
  }
  for (const pid of await findServers(dir)) there.push(`qemu-nbd ${pid} runs`);
  there.push(...(await filesBelow(path.join(dir, 'state', 'attachments'))));
  there.push(...(await filesBelow(path.join(dir, 'run'))).filter((file) => file.includes('/nbd/')));
  return there;
}

/** A completed attachment of ours ends in the name of our mount (daemon/attachments.ts). */
function isOfAnother(dir: string, device: string | undefined): boolean {
  const ours = createHash('sha256').update(path.join(dir, 'images')).digest('hex').slice(0, 8);
  return device?.startsWith('cinderfs:') === true && !device.endsWith(ours);
}
