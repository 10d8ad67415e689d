import { createHash } from 'node:crypto';
import path from 'node:path';

const SUFFIX = '.sock';

/**
 * Where the daemon of a mount point listens. The name is a hash because a socket path holds 107 bytes and a mount
 * point may be longer.
 */
export function controlSocketPath(runDir: string, mountpoint: string): string {
  const name = createHash('sha256').update(path.resolve(mountpoint)).digest('hex').slice(0, 16);
  return path.join(runDir, `${name}${SUFFIX}`);
}

/** True for the names that controlSocketPath makes. */
export function isControlSocketName(name: string): boolean {
  return /^[0-9a-f]{16}\.sock$/.test(name);
}
