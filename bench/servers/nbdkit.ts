import { join } from 'node:path';
import type { Image } from '../backings/backing.js';
import { startDaemon } from '../daemon.js';
import type { Room } from '../workbench.js';
import { isThere, type NbdExport } from './qemu-nbd.js';

/** One nbdkit with the file plugin over the image, read-only. The image must have a path. */
export async function startNbdkit(image: Image, room: Room): Promise<NbdExport> {
  if (image.target.kind !== 'path') throw new TypeError('nbdkit serves files and devices only');
  const socket = join(room.directory, 'nbd');
  const daemon = await startDaemon(
    'nbdkit',
    ['--foreground', '--readonly', '--unix', socket, 'file', image.target.path],
    { isReady: () => isThere(socket) },
  );
  room.cleanup.defer('nbdkit', () => daemon.stop());
  return { socket, pid: daemon.pid };
}
