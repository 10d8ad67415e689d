/**
 * kill -9 on the real OpenStack, at random moments, while images of every backend are being opened, read and closed:
 * each next start takes over or undoes what the dead one left. CINDERFS_KILLS says how often (200 in docs/reliability.md).
 */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Random } from '../soak/random.js';
import { testCloud, type TestCloud, type TestImage } from '../support/cloud.js';
import { eventually } from '../support/eventually.js';
import { filesBelow, findServers, mountsBelow } from '../support/leftovers.js';
import { Mounted, run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const KILLS = Number(process.env.CINDERFS_KILLS ?? 8);
const SEED = Number(process.env.CINDERFS_KILL_SEED ?? 1);
/** Names of images that something else is tested with meanwhile. */
const EXCEPT = (process.env.CINDERFS_KILL_EXCEPT ?? '').split(',');
const LANES = 3;
/** Longest life after READY, in milliseconds: an attach on the real Cinder takes one to three seconds. */
const LIFE_MS = 7_000;
/** An unanswered reservation is settled after 30 s; 90 s is how long a call of the backend may take. */
const REST_MS = 240_000;
/** qemu-nbd for every backend, and nobody who takes over: what a crash leaves behind is the harder case. */
const SETTINGS = {
  CINDERFS_CONNECTOR: 'qemu',
  CINDERFS_SUPERVISE: 'false',
  CINDERFS_LINGER: '1s',
  CINDERFS_ATTACH_BUDGET: '60s',
};

it(`leaves nothing after ${KILLS} kills under load over every backend`, { timeout: 7_200_000 }, async (t) => {
  assert.equal(process.env.CINDERFS_TEST_CLOUD, 'lab', 'npm run test:openstack runs this');
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const cloud = await testCloud(undo, dir);
  const images = cloud.images.filter(
    ({ attachable, size, name }) => attachable && size < 2 ** 30 && !EXCEPT.includes(name),
  );
  const random = new Random(SEED);
  const load = new Load(path.join(dir, 'images'), images, random.fork());
  undo.after(() => load.stop());
  const found = new Map<string, number>();
  for (let kill = 1; kill <= KILLS; kill++) {
    const life = new Undo({ after: (end) => undo.after(end) });
    const mounted = await Mounted.start({ dir, env: { ...cloud.env, ...SETTINGS }, test: life });
    load.start();
    await delay(random.whole(0, LIFE_MS));
    await mounted.stop('SIGKILL');
    for (const step of await stepsIn(dir)) found.set(step, (found.get(step) ?? 0) + 1);
    if (kill % 20 === 0) t.diagnostic(`${kill} kills, ${load.says()}`);
  }
  const last = await Mounted.start({ dir, env: { ...cloud.env, ...SETTINGS }, test: undo });
  await load.stop();
  await eventually(
    'nothing is attached',
    async () => ((await left(cloud, images, dir)).length === 0 ? true : undefined),
    REST_MS,
  ).catch(async () => assert.deepEqual(await left(cloud, images, dir), []));
  assert.equal(await last.stop('SIGTERM'), 0, last.said.slice(-5).join('\n'));
  assert.deepEqual([...(await filesBelow(path.join(dir, 'run'))), ...(await mountsBelow(dir))], []);
  assert.deepEqual(load.wrong, []);
  assert.ok(load.copies > 0, 'some images were read whole');
  const steps = [...found].map(([step, times]) => `${step} ${times}`).join(', ');
  t.diagnostic(`${KILLS} kills, ${load.says()}; journal entries found after a kill: ${steps}`);
});

/** Readers that go on whatever happens to the mount: they may fail, they may not read wrong bytes. */
class Load {
  readonly wrong: string[] = [];
  copies = 0;
  #failures = 0;
  #lanes: Promise<void>[] = [];
  #stopped = false;
  readonly #mountpoint: string;
  readonly #images: readonly TestImage[];
  readonly #random: Random;

  constructor(mountpoint: string, images: readonly TestImage[], random: Random) {
    this.#mountpoint = mountpoint;
    this.#images = images;
    this.#random = random;
  }

  start(): void {
    if (this.#lanes.length > 0) return;
    this.#lanes = Array.from({ length: LANES }, () => this.#read(this.#random.fork()));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#lanes);
  }

  says(): string {
    return `${this.copies} images read whole, ${this.#failures} readers failed, ${this.wrong.length} read wrong bytes`;
  }

  async #read(random: Random): Promise<void> {
    while (!this.#stopped) {
      const image = random.pick(this.#images);
      const outcome = await run('cmp', [path.join(this.#mountpoint, image.id), image.source]);
      // cmp: 0 the same, 1 different (or shorter), 2 an error.
      if (outcome.status === 0) this.copies += 1;
      else if (outcome.status === 1) this.wrong.push(`${image.name}: ${outcome.stdout}${outcome.stderr}`);
      else this.#failures += 1;
      await delay(random.whole(100, 800));
    }
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

/** Attachments, volumes that are not available, qemu-nbd processes, journal entries, files of ours. */
async function left(cloud: TestCloud, images: readonly TestImage[], dir: string): Promise<readonly string[]> {
  const there: string[] = [];
  for (const { name, volume_id: volumeId } of images) {
    for (const { id, status } of await cloud.openstack.attachments.listForVolume(volumeId))
      there.push(`attachment ${id} of ${name} is ${status}`);
    const { status } = await cloud.openstack.volumes.show(volumeId);
    if (status !== 'available') there.push(`${name} is ${status}`);
  }
  for (const pid of await findServers(dir)) there.push(`qemu-nbd ${pid} runs`);
  there.push(...(await filesBelow(path.join(dir, 'state', 'attachments'))));
  there.push(...(await filesBelow(path.join(dir, 'run'))).filter((file) => file.includes('/nbd/')));
  return there;
}
