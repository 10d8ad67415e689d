import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { listeningSockets, processWith } from '../../sys/processes/socket-table.js';
import { isAlive } from '../../sys/processes/process-name.js';
import type { Owner } from './owner.js';

/**
 * A process of version 0.1 that owns the state directory: that version locked by an abstract socket, which any user
 * could bind. Only one of our own user counts, and nothing is asked of it. To be removed with the next version.
 */
export function olderOwner(directory: string, noted: Owner | undefined): Partial<Owner> | undefined {
  if (noted !== undefined && noted.pid !== process.pid && isAlive({ ...noted, started: noted.startTime }))
    return noted;
  const { dev, ino } = statSync(directory, { bigint: true });
  const name = createHash('sha256').update(`${dev}:${ino}`).digest('hex').slice(0, 32);
  // Node fills the name up with zeros, which the kernel shows as '@'.
  const socket = listeningSockets().find(({ path }) => path.replace(/@+$/, '') === `@cinderfs-${name}`);
  const pid = socket === undefined ? undefined : processWith(socket.inode, process.geteuid?.() ?? 0);
  return pid === undefined ? undefined : { pid };
}
