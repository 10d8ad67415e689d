import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Backing, Image } from '../backings/backing.js';
import { startDaemon } from '../daemon.js';
import { unmountAnyway } from '../mounts.js';
import { commandOf, withDescendants } from '../usage.js';
import type { Room } from '../workbench.js';
import { QEMU_NBD } from './qemu-nbd.js';
import type { Served, Server } from './server.js';

/** bin/cinderfs.cjs, from dist/bench/servers/. */
const LAUNCHER = fileURLToPath(new URL('../../../bin/cinderfs.cjs', import.meta.url));

/** Which of its ways cinderfs goes from the mount point to the bytes. */
interface Way {
  readonly fuse: 'engine' | 'native';
  readonly passthrough: boolean;
  /** `qemu`: over the qemu-nbd that cinderfs starts; undefined: what fits the cloud. */
  readonly connector?: 'qemu';
}

/** Our FUSE engine; RBD it reads by librbd, in its own process. */
export const engine = cinderfs('engine', { fuse: 'engine', passthrough: false }, () => true);

/** The kernel reads the file itself. Regular files of exactly the image's size only. */
export const enginePassthrough = cinderfs(
  'engine-passthrough',
  { fuse: 'engine', passthrough: true },
  (image) => image.backing === 'file',
);

export const engineNbd = cinderfs(
  'engine-nbd',
  { fuse: 'engine', passthrough: false, connector: 'qemu' },
  () => true,
);

/** The portable transport. */
export const fuseNative = cinderfs('fuse-native', { fuse: 'native', passthrough: false }, () => true);

/** The product as it is run: its launcher, its options, an OpenStack cloud it speaks HTTP to. */
function cinderfs(name: string, way: Way, serves: Server['serves']): Server {
  return {
    name,
    isPeer: false,
    needs: way.connector === 'qemu' ? [QEMU_NBD] : [],
    // Pieces and blocks of what it reads over NBD or of RBD; of files and devices it keeps nothing.
    hasOwnCache: (image) => way.connector === 'qemu' || image.target.kind === 'rbd',
    serves,
    start: (image, backing, room) => start(way, image, backing, room),
  };
}

async function start(way: Way, image: Image, { cloud }: Backing, room: Room): Promise<Served> {
  const connector = way.connector ?? cloud.connector;
  const mountpoint = join(room.directory, 'mnt');
  const configuration = join(room.directory, 'cinderfs.conf');
  await mkdir(mountpoint);
  await writeFile(configuration, '');
  room.cleanup.defer(`unmount ${mountpoint}`, () => unmountAnyway(mountpoint));
  const daemon = await startDaemon(
    process.execPath,
    [
      ...[LAUNCHER, 'mount', mountpoint],
      ...[
        `--fuse=${way.fuse}`,
        `--connector=${connector}`,
        way.passthrough ? '--passthrough' : '--no-passthrough',
      ],
      ...[`--config-file=${configuration}`, `--state-dir=${room.directory}/state`],
      ...[`--run-dir=${room.directory}/run`, '--linger=0', '--log-level=warn'],
    ],
    { env: cloud.environment, isReady: (said) => /^READY /m.test(said) },
  );
  room.cleanup.defer('cinderfs', () => daemon.stop());
  return {
    target: { kind: 'path', path: join(mountpoint, cloud.fileName(image)) },
    pids: [daemon.pid],
    passesThrough: way.passthrough,
    sourcePids: () =>
      isUncounted(way, image, connector) ? Promise.resolve([]) : sourcePids(daemon.pid, connector),
  };
}

/** The kernel moves the bytes: for passthrough by itself, out of a file by splice(2), which /proc/PID/io does not count. */
function isUncounted({ fuse, passthrough }: Way, { backing }: Image, connector: string): boolean {
  return passthrough || (fuse === 'engine' && backing === 'file' && connector !== 'qemu');
}

/** Who reads the volume: one of our qemu-nbd, or we. */
async function sourcePids(pid: number, connector: string): Promise<readonly number[]> {
  // The supervisor, and the engine below it.
  const pids = await withDescendants([pid]);
  if (connector !== 'qemu') return pids;
  const commands = await Promise.all(pids.map(commandOf));
  return pids.filter((_, index) => commands[index] === 'qemu-nbd');
}
