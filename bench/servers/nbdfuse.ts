import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startDaemon } from '../daemon.js';
import { isMounted, unmountAnyway } from '../mounts.js';
import type { Room } from '../workbench.js';
import { startNbdkit } from './nbdkit.js';
import { QEMU_NBD, startQemuNbd, type NbdExport } from './qemu-nbd.js';
import type { Requirement, Served, Server } from './server.js';

const NBDFUSE: Requirement = { command: 'nbdfuse', debian: 'libnbd-bin' };

/** libnbd's FUSE client over qemu-nbd: the same source, and the same hop, as cinderfs's NBD path has. */
export const nbdfuse: Server = {
  name: 'nbdfuse',
  isPeer: true,
  needs: [NBDFUSE, QEMU_NBD],
  hasOwnCache: () => false,
  serves: () => true,
  start: async (image, _backing, room) => mountExport(await startQemuNbd(image, room), room),
};

/** The same over nbdkit's file plugin, which serves files and devices only but may be the quicker server. */
export const nbdfuseOverNbdkit: Server = {
  name: 'nbdfuse-nbdkit',
  isPeer: true,
  needs: [NBDFUSE, { command: 'nbdkit', debian: 'nbdkit' }],
  hasOwnCache: () => false,
  serves: (image) => image.target.kind === 'path',
  start: async (image, _backing, room) => mountExport(await startNbdkit(image, room), room),
};

async function mountExport(source: NbdExport, room: Room): Promise<Served> {
  const mountpoint = join(room.directory, 'mnt');
  await mkdir(mountpoint);
  room.cleanup.defer(`unmount ${mountpoint}`, () => unmountAnyway(mountpoint));
  const daemon = await startDaemon(
    'nbdfuse',
    ['--readonly', join(mountpoint, 'image'), '--unix', source.socket],
    { isReady: () => isMounted(mountpoint) },
  );
  room.cleanup.defer('nbdfuse', () => daemon.stop());
  return {
    target: { kind: 'path', path: join(mountpoint, 'image') },
    pids: [daemon.pid, source.pid],
    sourcePids: () => Promise.resolve([source.pid]),
  };
}
