/** One round: readers and hurts at once, then everything is mended, must be readable again, and must come to rest. */
import { Random } from '../support/random.js';
import { moment } from '../support/time.js';
import { leftovers } from './gauges.js';
import type { SoakHost } from './host.js';
import { HURTS } from './hurts/all.js';
import { drawArguments } from './hurts/hosts.js';
import type { SoakImage } from './images.js';
import type { Pace } from './pace.js';
import { list, type Reading, READERS, WHOLE } from './readers.js';
import type { World } from './world.js';

/** Readers at work on each host, and hurts at a time. */
const LANES = 2;
/** Longest until everything is readable, and then at rest: a hanging attach holds its volume for 90 s, then 30 s. */
const RECOVERY_MS = 240_000;
const REST_MS = 240_000;
/** How a read may fail while something is wrong. Anything else is a bug. */
const ERRNOS = new Set(
  'EIO ESTALE ETIMEDOUT ENOENT EBUSY ENOTCONN ECONNABORTED EACCES EAGAIN EINTR SIGBUS'.split(' '),
);

export interface RoundOptions {
  readonly world: World;
  readonly pace: Pace;
  readonly seed: number;
  /** Milliseconds of trouble. */
  readonly ms: number;
}

export async function playRound({ world, pace, seed, ms }: RoundOptions): Promise<void> {
  const random = new Random(seed);
  if (!world.mortal.serves) await world.mortal.startUntilReady(drawArguments(random.fork()));
  const end = performance.now() + ms;
  const goesOn = (): boolean => performance.now() < end && world.tally.violations.length === 0;
  const lanes = world.hosts.flatMap((host) =>
    Array.from({ length: LANES }, () => readOn(world, host, pace, random.fork(), goesOn)),
  );
  const trouble = Array.from({ length: LANES }, () => hurt(world, random.fork(), goesOn));
  await Promise.all([...lanes, ...trouble]);
  await mend(world, random.fork());
  await recover(world, random.fork());
  await rest(world);
}

async function readOn(
  world: World,
  host: SoakHost,
  pace: Pace,
  random: Random,
  goesOn: () => boolean,
): Promise<void> {
  while (goesOn()) {
    await pace.turn(() => world.hosts.flatMap(({ pid }) => (pid === undefined ? [] : [pid])));
    const image = random.pick([...world.images.values()]);
    // Now and then a crowd: they must share one attachment.
    const crowd = random.chance(0.08) ? random.whole(3, 6) : 1;
    const job = random.fork();
    if (random.chance(0.1)) judge(world, `listing on ${host.name}`, await list(host.mountpoint));
    await Promise.all(Array.from({ length: crowd }, () => readOnce(world, host, image, job.fork())));
    await moment(random.whole(0, 400));
  }
}

async function readOnce(world: World, host: SoakHost, image: SoakImage, random: Random): Promise<boolean> {
  const reader = random.weighted(READERS);
  const file = `${host.mountpoint}/${image.id}`;
  const reading = await world.reading(image, () => reader.read({ file, image, dir: world.dir, random }));
  if (reading === undefined) return false;
  world.tally.opens += 1;
  judge(world, `${reader.name} of ${image.name} (${image.id}) on ${host.name}`, reading);
  return reading.errno === undefined && reading.wrong === undefined;
}

function judge({ tally }: World, what: string, { bytes, errno, wrong }: Reading): void {
  tally.bytes += bytes;
  if (wrong !== undefined) {
    tally.wrongBytes += 1;
    tally.violation(`${what}: ${wrong}`);
  }
  if (errno === undefined) return;
  tally.error(errno);
  if (!ERRNOS.has(errno)) tally.violation(`${what} ended with ${errno}`);
}

async function hurt(world: World, random: Random, goesOn: () => boolean): Promise<void> {
  while (goesOn()) {
    const { name, strike } = random.weighted(HURTS);
    const own = random.fork();
    if (world.cloudRuns) {
      await strike(world, own).catch((error: unknown) => {
        // The other lane may have restarted the cloud under this one.
        if (world.cloudRuns) process.stderr.write(`soak: ${name}: ${String(error)}\n`);
      });
    }
    await moment(random.whole(200, 2_500));
  }
}

/** Ends every fault; sometimes hanging calls are left to their deadlines, sometimes a restart cuts them. */
async function mend(world: World, random: Random): Promise<void> {
  world.devcloud.faults.clear();
  if (random.chance(0.7)) {
    await world.stopCloud();
    await world.startCloud();
  }
  const { adminFaults: adminFaults, cloud } = world.devcloud;
  for (const { id, source, volumeId } of world.images.values()) {
    if (cloud.images.get(id)?.status !== 'active') adminFaults.setImageStatus(id, 'active');
    await adminFaults.swapBytes(volumeId, source, true);
  }
  if (!world.mortal.serves) await world.mortal.startUntilReady(drawArguments(random));
}

/** Everything is readable again, on every host, by itself. */
async function recover(world: World, random: Random): Promise<void> {
  const begun = performance.now();
  for (const image of world.images.values())
    for (const host of world.hosts) {
      const reading = await readUntilRight(world, host, image, random, begun + RECOVERY_MS);
      world.tally.opens += 1;
      judge(world, `${image.name} (${image.id}) on ${host.name}, after everything was mended,`, reading);
      if (reading.errno !== undefined)
        world.tally.violation(`${image.name} (${image.id}) on ${host.name} stays unreadable`);
    }
  world.tally.slowestRecovery = Math.max(world.tally.slowestRecovery, performance.now() - begun);
}

async function readUntilRight(
  world: World,
  host: SoakHost,
  image: SoakImage,
  random: Random,
  end: number,
): Promise<Reading> {
  const file = `${host.mountpoint}/${image.id}`;
  for (;;) {
    const reading = await WHOLE.read({ file, image, dir: world.dir, random });
    if (reading.errno === undefined || performance.now() > end) return reading;
    await moment(500);
  }
}

/** Nothing is left anywhere once nobody reads. */
async function rest(world: World): Promise<void> {
  const begun = performance.now();
  for (;;) {
    const left = await leftovers(world);
    world.tally.slowestRest = Math.max(world.tally.slowestRest, performance.now() - begun);
    if (left.length === 0) return;
    if (performance.now() - begun > REST_MS) {
      world.tally.leftovers += left.length;
      for (const what of left) world.tally.violation(`left behind: ${what}`);
      return;
    }
    await moment(500);
  }
}
