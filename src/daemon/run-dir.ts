import { createHash } from 'node:crypto';
import path from 'node:path';
import type { Config } from '../config/options.js';

/** Of this mount alone. Its name is short, because the sockets below it have to fit into 107 bytes. */
export function runDirOf({ run_dir: directory }: Pick<Config, 'run_dir'>, mountpoint: string): string {
  return path.join(directory, mountIdOf(mountpoint));
}

/** Names a mount point of this host in files and in Cinder. */
export function mountIdOf(mountpoint: string): string {
  return createHash('sha256').update(mountpoint).digest('hex').slice(0, 8);
}

/** Files in the run directory of a mount by which its engines know what those before them did. */
export const SURVIVAL_FILES = {
  openFiles: 'open-files',
  inFlight: 'in-flight',
  heldSince: 'held-since',
} as const;
