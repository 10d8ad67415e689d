import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { CinderfsError } from '../../../errors.js';
import { type MountEntry, readMountTable } from '../../../sys/mounts/mount-table.js';
import { absolutePath } from '../../connection/backend-values.js';

/** The file systems that the shares of a protocol are mounted as, exactly. */
const TYPES: ReadonlyMap<string, readonly string[]> = new Map([
  ['nfs', ['nfs', 'nfs4']],
  ['glusterfs', ['fuse.glusterfs']],
  ['quobyte', ['fuse.quobyte']],
  ['vzstorage', ['fuse.vstorage']],
]);

export function isShareProtocol(protocol: string): boolean {
  return TYPES.has(protocol);
}

/**
 * Where root mounted the share on this host, or where os-brick mounts it. The source of a mount is text that the user that
 * mounts writes, and any user may mount a FUSE file system: so its type must be the protocol's, its user root.
 */
export async function directoryOfShare(
  protocol: string,
  share: string,
  base: unknown,
  mounts: () => Promise<readonly MountEntry[]> = readMountTable,
): Promise<string> {
  const hashed = createHash('md5').update(share).digest('hex');
  const brick = typeof base === 'string' ? join(absolutePath(base, 'mount_point_base'), hashed) : undefined;
  const table = await mounts();
  const found = table.find(
    (entry) => (entry.source === share || entry.mountpoint === brick) && isShareOf(protocol, entry),
  );
  // What was mounted over it later hides it.
  const top = table.findLast(({ mountpoint }) => mountpoint === found?.mountpoint);
  if (found !== undefined && top === found) return found.mountpoint;
  throw new CinderfsError('protocol_unsupported', `the share ${share} is not mounted on this host`);
}

function isShareOf(protocol: string, { type, root, options }: MountEntry): boolean {
  if (root !== '/' || TYPES.get(protocol)?.includes(type) !== true) return false;
  return !type.startsWith('fuse') || options.includes('user_id=0');
}
