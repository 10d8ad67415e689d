import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, mkdir, open, readdir, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { execa } from 'execa';
import { Cleanup } from '../../src/async/cleanup.js';
import { sleep, systemClock } from '../../src/async/clock.js';
import { startDevcloud } from '../devcloud.js';
import { CinderfsError, EXIT } from '../../src/errors.js';
import type { DaemonStatus } from '../../src/ops/status.js';
import { cinderfs, startMount, stopMount } from './program.js';
import { writeSampleImages, type SampleImages } from './sample-images.js';

const LINGER_SECONDS = 2;

export interface DemoOptions {
  readonly keep: boolean;
  readonly say: (text: string) => void;
}

/** What the steps of the tour work with. */
interface Stage {
  readonly dir: string;
  readonly mountpoint: string;
  readonly env: NodeJS.ProcessEnv;
  readonly samples: SampleImages;
  readonly say: (text: string) => void;
}

/** The main job from beginning to end; leaves nothing behind, also when a step fails. Resolves to the exit status. */
export async function runDemo({ keep, say }: DemoOptions): Promise<number> {
  const cleanup = new Cleanup();
  try {
    const stage = await setStage(cleanup, say);
    await listing(stage);
    await reading(stage);
    await lifecycle(stage);
    if (keep) await untilInterrupted(stage);
  } finally {
    say('\n# Cleaning up: unmount, stop the cloud, remove the files.\n');
    const failures = await cleanup.run();
    for (const { what, error } of failures) say(`could not ${what}: ${String(error)}\n`);
  }
  say('# Done: nothing is mounted, attached or left behind.\n');
  return EXIT.ok;
}

async function setStage(cleanup: Cleanup, say: (text: string) => void): Promise<Stage> {
  const dir = await mkdtemp(path.join(tmpdir(), 'cinderfs-demo-'));
  cleanup.defer('remove the files', () => rm(dir, { recursive: true, force: true }));
  say(
    '# An OpenStack cloud in this process (Keystone, Glance, Cinder over HTTP) with three images in Cinder volumes.\n',
  );
  const samples = await writeSampleImages(path.join(dir, 'cloud', 'images'));
  const cloud = await startDevcloud({ dir: path.join(dir, 'cloud') });
  cleanup.defer('stop the cloud', () => cloud.close());
  const mountpoint = path.join(dir, 'images');
  await mkdir(mountpoint);
  const env = {
    PATH: process.env.PATH,
    ...cloud.env,
    CINDERFS_STATE_DIR: path.join(dir, 'state'),
    CINDERFS_RUN_DIR: path.join(dir, 'run'),
    CINDERFS_LINGER: String(LINGER_SECONDS),
  };
  say(`\n# Mount them: cinderfs mount ${mountpoint}\n`);
  const child = await startMount([mountpoint], env);
  cleanup.defer('unmount', () => stopMount(child));
  return { dir, mountpoint, env, samples, say };
}

async function listing({ mountpoint, say }: Stage): Promise<void> {
  say('\n# Every image is a file, and a name under by-name/. Listing attaches nothing.\n');
  say(`${(await execa('ls', ['-l', mountpoint, path.join(mountpoint, 'by-name')])).stdout}\n`);
}

async function reading(stage: Stage): Promise<void> {
  const { dir, mountpoint, samples, say } = stage;
  const byName = path.join(mountpoint, 'by-name');
  const names = await readdir(byName);
  say('\n# qemu-img reads the qcow2 image in place: the first open attaches its volume.\n');
  const cirros = path.join(byName, pick(names, 'cirros'));
  say(`${(await execa('qemu-img', ['info', cirros])).stdout}\n`);
  for (const [name, original] of Object.entries({ debian: samples.raw, sparse: samples.sparse })) {
    const copy = path.join(dir, `${name}.copy`);
    say(
      `\n# qemu-img convert copies '${name}' off its volume; the copy must equal the original, byte for byte.\n`,
    );
    await execa('qemu-img', [
      'convert',
      '-f',
      'raw',
      '-O',
      'raw',
      path.join(byName, pick(names, name)),
      copy,
    ]);
    const [want, got] = [await sha256(original), await sha256(copy)];
    say(`original ${want}\ncopy     ${got}\n`);
    if (want !== got) throw new CinderfsError('internal', `the copy of ${name} differs from its original`);
    await rm(copy);
  }
}

async function lifecycle(stage: Stage): Promise<void> {
  const { mountpoint, env, say } = stage;
  const status = (): Promise<string> => cinderfs(['status', mountpoint], env);
  say('\n# While a file is open its volume is attached, once, however many readers there are.\n');
  const [image = ''] = (await readdir(mountpoint)).filter((name) => name !== 'by-name');
  const reader = await open(path.join(mountpoint, image));
  try {
    say(`${await status()}\n`);
  } finally {
    await reader.close();
  }
  say(`\n# ${LINGER_SECONDS} s after the last close it is detached, lazily.\n`);
  await untilDetached(stage);
  say(`${await status()}\n`);
}

/** The daemon has no event for outsiders; its status is asked until nothing is attached. */
async function untilDetached({ mountpoint, env }: Stage): Promise<void> {
  const until = systemClock.now() + 30_000;
  while (systemClock.now() < until) {
    const report = JSON.parse(await cinderfs(['status', mountpoint, '-f', 'json'], env)) as DaemonStatus;
    if (report.attachments.length === 0) return;
    await keepAlive(sleep(systemClock, 200));
  }
  throw new CinderfsError('internal', 'the volumes were not detached within 30 s');
}

/** The product's timers do not keep a process alive; here one has to. */
async function keepAlive<T>(work: Promise<T>): Promise<T> {
  const hold = setInterval(() => undefined, 60_000);
  return work.finally(() => clearInterval(hold));
}

async function untilInterrupted({ mountpoint, env, say }: Stage): Promise<void> {
  const settings = Object.entries(env).filter(([name]) => /^(OS|CINDERFS)_/.test(name));
  say(`\n# Mounted at ${mountpoint} until Ctrl-C. In another shell:\n`);
  say(settings.map(([name, value]) => `export ${name}='${value ?? ''}'\n`).join(''));
  await keepAlive(Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]));
}

function pick(names: readonly string[], start: string): string {
  const found = names.find((name) => name.startsWith(start));
  if (found === undefined) throw new CinderfsError('internal', `${start} is not listed`);
  return found;
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 1024 * 1024 }), hash);
  return hash.digest('hex');
}
