import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startDaemon } from '../daemon.js';
import { isMounted, unmountAnyway } from '../mounts.js';
import type { Server } from './server.js';

/** QEMU's storage daemon and its FUSE export: one program, no NBD between, mounted over a regular file. */
export const qsdFuse: Server = {
  name: 'qsd-fuse',
  isPeer: true,
  needs: [{ command: 'qemu-storage-daemon', debian: 'qemu-system-common' }],
  hasOwnCache: () => false,
  serves: () => true,
  async start(image, _backing, room) {
    const mountpoint = join(room.directory, 'image');
    await writeFile(mountpoint, '');
    room.cleanup.defer(`unmount ${mountpoint}`, () => unmountAnyway(mountpoint));
    const daemon = await startDaemon(
      'qemu-storage-daemon',
      [
        ...['--blockdev', `${image.qemu},node-name=image,read-only=on`],
        ...['--export', `type=fuse,id=export,node-name=image,mountpoint=${mountpoint},writable=off`],
      ],
      { isReady: () => isMounted(mountpoint) },
    );
    room.cleanup.defer('qemu-storage-daemon', () => daemon.stop());
    return {
      target: { kind: 'path', path: mountpoint },
      pids: [daemon.pid],
      sourcePids: () => Promise.resolve([daemon.pid]),
    };
  },
};
