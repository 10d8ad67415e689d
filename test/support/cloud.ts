/**
 * The cloud that end-to-end tests run on: the embedded one, or the real OpenStack that test/openstack/lab brought up
 * when CINDERFS_TEST_CLOUD=lab. The tests are the same.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { systemClock } from '../../src/async/clock.js';
import { connectOpenstack, type Openstack } from '../../src/cinder/openstack.js';
import { loadCloud } from '../../src/config/cloud.js';
import { loadConfig } from '../../src/config/load.js';
import { startDevcloud, type Devcloud } from '../../devcloud/devcloud.js';
import { silentLog } from '../../src/log.js';
import { run } from './program.js';
import { someBytes } from './seeds.js';

export interface TestImage {
  readonly name: string;
  readonly id: string;
  readonly size: number;
  readonly sha256: string;
  /** A local file that holds the image's bytes. */
  readonly source: string;
  readonly volume_id: string;
  readonly backend: string;
  readonly multiattach: boolean;
  readonly disk_format: string;
  /** False where Cinder is known to refuse the attach. */
  readonly attachable: boolean;
}

export interface TestCloud {
  readonly kind: 'embedded' | 'real';
  /** What reaches it, for a process that has nothing else in its environment. */
  readonly env: NodeJS.ProcessEnv;
  readonly images: readonly TestImage[];
  readonly authUrl: string;
  /** The environment of a user of another project, who sees the public images and none of their volumes. */
  readonly outsider: NodeJS.ProcessEnv;
  readonly openstack: Openstack;
  /** The double itself, for its faults and its request log; undefined on a real cloud. */
  readonly devcloud: Devcloud | undefined;
}

interface Undo {
  after: (undo: () => Promise<unknown>) => void;
}

/** Brings up (or finds) the cloud; everything of it that this test owns is gone when the test is over. */
export async function testCloud(test: Undo, dir: string): Promise<TestCloud> {
  return process.env.CINDERFS_TEST_CLOUD === 'lab' ? realCloud(test) : embeddedCloud(test, dir);
}

async function realCloud(test: Undo): Promise<TestCloud> {
  const file = process.env.CINDERFS_LAB;
  if (file === undefined) throw new Error('CINDERFS_LAB names the lab.json of test/openstack/lab');
  const lab = JSON.parse(await readFile(file, 'utf8')) as {
    clouds_yaml: string;
    cloud: string;
    clouds: Record<string, string>;
    images: TestImage[];
  };
  const env = { OS_CLIENT_CONFIG_FILE: lab.clouds_yaml, OS_CLOUD: lab.cloud };
  return {
    kind: 'real',
    env,
    authUrl: 'http://127.0.0.1:5000/v3',
    outsider: { OS_CLIENT_CONFIG_FILE: lab.clouds_yaml, OS_CLOUD: lab.clouds.demo },
    images: lab.images,
    openstack: await connect(test, env),
    devcloud: undefined,
  };
}

async function embeddedCloud(test: Undo, dir: string): Promise<TestCloud> {
  const samples = await writeSamples(path.join(dir, 'cloud', 'images'));
  const devcloud = await startDevcloud({ dir: path.join(dir, 'cloud') });
  test.after(() => devcloud.close());
  const openstack = await connect(test, devcloud.env);
  const { images } = await openstack.catalog.refresh();
  const known = await Promise.all(
    [...images.values()].map(async (image): Promise<TestImage> => {
      const source = samples.find((sample) => path.parse(sample).name === image.name);
      if (source === undefined) throw new Error(`no sample is called ${image.name}`);
      return {
        name: image.name,
        id: image.id,
        size: image.size,
        sha256: await sha256(source),
        source,
        volume_id: image.volumeId,
        backend: 'local',
        multiattach: image.multiattach,
        disk_format: image.diskFormat,
        attachable: true,
      };
    }),
  );
  return {
    kind: 'embedded',
    env: devcloud.env,
    authUrl: devcloud.env.OS_AUTH_URL ?? '',
    outsider: devcloud.envFor('demo'),
    images: known,
    openstack,
    devcloud,
  };
}

async function connect(test: Undo, env: NodeJS.ProcessEnv): Promise<Openstack> {
  const loaded = loadConfig({ flags: {}, env });
  const cloud = loadCloud({ loaded, env });
  const openstack = await connectOpenstack({
    cloud,
    config: loaded.config,
    log: silentLog,
    clock: systemClock,
  });
  test.after(() => openstack.close());
  return openstack;
}

/** A raw image that ends inside a sector, a qcow2, a sparse one, and one that may not be attached twice. */
async function writeSamples(dir: string): Promise<readonly string[]> {
  await mkdir(dir, { recursive: true });
  const at = (name: string): string => path.join(dir, name);
  await writeFile(at('odd.raw'), someBytes(9 * 2 ** 20 + 12_345));
  await writeFile(at('single.raw'), someBytes(2 ** 20 + 1));
  await writeFile(at('single.json'), JSON.stringify({ multiattach: false }));
  const sparse = await open(at('sparse.raw'), 'wx');
  await sparse.truncate(64 * 2 ** 20);
  await sparse.write(someBytes(2 ** 20), 0, 2 ** 20, 33 * 2 ** 20);
  await sparse.close();
  const convert = await run('qemu-img', [
    'convert',
    '-f',
    'raw',
    '-O',
    'qcow2',
    at('odd.raw'),
    at('disk.qcow2'),
  ]);
  if (convert.status !== 0) throw new Error(convert.stderr);
  return [at('odd.raw'), at('single.raw'), at('sparse.raw'), at('disk.qcow2')];
}

export async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 2 ** 20 }), hash);
  return hash.digest('hex');
}
