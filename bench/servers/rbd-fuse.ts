import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startDaemon } from '../daemon.js';
import { isMounted, unmountAnyway } from '../mounts.js';
import type { Server } from './server.js';

/** Ceph's own: every image of a pool as a file, librbd in the process. */
export const rbdFuse: Server = {
  name: 'rbd-fuse',
  isPeer: true,
  needs: [{ command: 'rbd-fuse', debian: 'rbd-fuse' }],
  hasOwnCache: () => false,
  serves: (image) => image.target.kind === 'rbd',
  async start(image, _backing, room) {
    if (image.target.kind !== 'rbd') throw new TypeError('rbd-fuse serves RBD images only');
    const { pool, image: name, user } = image.target;
    const mountpoint = join(room.directory, 'mnt');
    await mkdir(mountpoint);
    room.cleanup.defer(`unmount ${mountpoint}`, () => unmountAnyway(mountpoint));
    const daemon = await startDaemon('rbd-fuse', ['-f', '-p', pool, '-r', name, mountpoint], {
      // rbd-fuse has no option for the user; librados reads its arguments from here too.
      env: { CEPH_ARGS: `--id ${user}` },
      isReady: () => isMounted(mountpoint),
    });
    room.cleanup.defer('rbd-fuse', () => daemon.stop());
    return {
      target: { kind: 'path', path: join(mountpoint, name) },
      pids: [daemon.pid],
      sourcePids: () => Promise.resolve([daemon.pid]),
    };
  },
};
