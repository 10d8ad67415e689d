/**
 * Services of the real OpenStack end, or hang, while an image is being read: what is attached goes on, `ls` answers, a
 * new open fails within its deadline and says why, and everything recovers by itself.
 * CINDERFS_OUTAGES names which: `SERVICE` or `SERVICE:freeze`, separated by commas.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { testCloud, type TestCloud, type TestImage } from '../support/cloud.js';
import { eventually } from '../support/eventually.js';
import { Mounted, run, type Outcome } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const LAB = fileURLToPath(new URL('../../../test/openstack/lab', import.meta.url));
const OUTAGES = (process.env.CINDERFS_OUTAGES ?? 'cinder-api').split(',');
const OPEN_TIMEOUT_S = 15;
/** An open may fail a little after its deadline: the kernel, cat, and a busy machine. */
const SLACK_MS = 5_000;
/** From a listing that never waits for the network, on a busy machine. */
const LISTING_MS = 2_000;
/** A hanging call of the backend ends after 90 s, an unanswered reservation is settled 30 s later. */
const RECOVERY_MS = 300_000;
/** How an open may fail: refused at once, or not answered in time. */
const FAILURES = /Input\/output error|Connection timed out|Permission denied/;

describe('an outage of the real OpenStack', { timeout: 3_600_000 }, () => {
  for (const outage of OUTAGES) {
    const [service = '', how] = outage.split(':');
    it(`of ${service}${how === undefined ? '' : ', which hangs'}: reads go on, opens fail in time, all recovers`, async (t) => {
      const scene = await start(t);
      const began = performance.now();
      await lab('stop', ...(how === 'freeze' ? ['--freeze'] : []), service);
      try {
        await goesOn(scene);
        const opens = await newOpens(scene);
        await goesOn(scene);
        const away = Math.round((performance.now() - began) / 1000);
        t.diagnostic(`${service} away for ${away} s; new opens: ${opens}`);
      } finally {
        await lab('start', service);
      }
      await recovers(t, scene);
    });
  }
});

interface Scene {
  readonly cloud: TestCloud;
  readonly mounted: Mounted;
  /** Kept open and attached through the outage. */
  readonly attached: TestImage;
  /** Opened for the first time during it. */
  readonly others: readonly TestImage[];
}

async function start(t: TestContext): Promise<Scene> {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const cloud = await testCloud(undo, dir);
  const [attached, ...others] = cloud.images.filter(({ attachable, size }) => attachable && size < 2 ** 30);
  assert.ok(attached);
  // Tokens that live 20 s: what is read goes on without Keystone, what needs a token does not.
  const env = { ...cloud.env, OS_CLOUD: 'lab-short', CINDERFS_OPEN_TIMEOUT: String(OPEN_TIMEOUT_S) };
  const settings = { CINDERFS_CONNECTOR: 'qemu', CINDERFS_LINGER: '0', CINDERFS_HTTP_TIMEOUT: '10' };
  const mounted = await Mounted.start({ dir, env: { ...env, ...settings }, test: undo });
  assert.ok(await holdOpen(mounted.at(attached.id), undo), 'the image could be opened');
  return { cloud, mounted, attached, others };
}

async function holdOpen(file: string, undo: Undo): Promise<boolean> {
  const child = spawn('sh', ['-c', 'exec 3<"$0"; echo open; exec sleep 3600', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  undo.after(() => child.kill());
  return new Promise((resolve) => {
    child.stdout.once('data', () => resolve(true));
    child.once('exit', () => resolve(false));
  });
}

/** The attached image reads right, past the page cache, and the listing answers. */
async function goesOn({ mounted, attached }: Scene): Promise<void> {
  const direct = await run('sh', [
    '-c',
    'dd if="$0" bs=1M iflag=direct status=none | cmp - "$1"',
    mounted.at(attached.id),
    attached.source,
  ]);
  assert.equal(direct.status, 0, `${direct.stdout}${direct.stderr}`);
  const began = performance.now();
  const listing = await run('ls', ['-l', mounted.mountpoint]);
  assert.equal(listing.status, 0, listing.stderr);
  assert.ok(performance.now() - began < LISTING_MS, `ls took ${performance.now() - began} ms`);
}

/** Each new open fails in time and leaves its reason, or reads right bytes; answers with what happened. */
async function newOpens({ mounted, others }: Scene): Promise<string> {
  const outcomes = await Promise.all(
    others.map(async (image) => {
      const began = performance.now();
      const read = await run('cmp', [mounted.at(image.id), image.source]);
      const ms = performance.now() - began;
      if (read.status === 0) return `${image.backend} served`;
      const limit = OPEN_TIMEOUT_S * 1000 + SLACK_MS;
      assert.ok(ms < limit, `${image.name} failed after ${ms} ms only`);
      assert.match(read.stderr, FAILURES, image.name);
      return `${image.backend} ${errnoOf(read)} after ${(ms / 1000).toFixed(1)} s, ${await reasonOf(mounted, image)}`;
    }),
  );
  return outcomes.join('; ');
}

/** user.cinderfs.last_error: what happened, what to do, and the code. */
async function reasonOf(mounted: Mounted, image: TestImage): Promise<string> {
  const attribute = ['-n', 'user.cinderfs.last_error', '--only-values'];
  const { stdout, stderr } = await run('getfattr', [...attribute, mounted.at(image.id)]);
  const code = /\[(\w+)\]$/.exec(stdout.trim())?.[1];
  assert.ok(code, `${image.name} does not say why: ${stdout}${stderr}`);
  return code;
}

async function recovers(t: TestContext, { cloud, mounted, others }: Scene): Promise<void> {
  const began = performance.now();
  for (const image of others) {
    await eventually(
      `${image.name} is readable again`,
      async () => {
        const { status } = await run('cmp', [mounted.at(image.id), image.source]);
        assert.notEqual(status, 1, `${image.name} has other bytes`);
        return status === 0 ? true : undefined;
      },
      RECOVERY_MS,
    );
  }
  t.diagnostic(`all readable ${((performance.now() - began) / 1000).toFixed(1)} s after the start`);
  for (const image of others)
    await eventually(`${image.name} is let go`, () => isFree(cloud, image), RECOVERY_MS);
}

async function isFree({ openstack }: TestCloud, image: TestImage): Promise<true | undefined> {
  const attachments = await openstack.attachments.listForVolume(image.volume_id);
  const { status } = await openstack.volumes.show(image.volume_id);
  return attachments.length === 0 && status === 'available' ? true : undefined;
}

async function lab(verb: 'start' | 'stop', ...args: readonly string[]): Promise<void> {
  const { status, stderr } = await run('bash', [path.join(LAB, verb), ...args], process.env);
  assert.equal(status, 0, stderr);
}

const errnoOf = ({ stderr }: Outcome): string => /: ([^:]*)$/.exec(stderr.trim())?.[1] ?? stderr;
