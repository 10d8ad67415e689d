import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Image } from '../backings/backing.js';
import { startDaemon } from '../daemon.js';
import type { Room } from '../workbench.js';
import type { Requirement } from './server.js';

export const QEMU_NBD: Requirement = { command: 'qemu-nbd', debian: 'qemu-utils' };

/** An NBD export on a unix socket. */
export interface NbdExport {
  readonly socket: string;
  readonly pid: number;
}

/** One qemu-nbd over the image, read-only, for as many connections as a peer likes to make. */
export async function startQemuNbd(image: Image, room: Room): Promise<NbdExport> {
  const socket = join(room.directory, 'nbd');
  const daemon = await startDaemon(
    'qemu-nbd',
    ['--read-only', '--persistent', '--shared=16', `--socket=${socket}`, '--image-opts', rawOver(image)],
    { isReady: () => isThere(socket) },
  );
  room.cleanup.defer('qemu-nbd', () => daemon.stop());
  return { socket, pid: daemon.pid };
}

/** The protocol node's options, moved below a raw node: QEMU must not guess a format from an image's bytes. */
function rawOver(image: Image): string {
  const options = image.qemu.split(',').map((option) => `file.${option}`);
  return ['driver=raw', ...options].join(',');
}

export async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
