/** Where else a file system is mounted: bind mounts, other mount namespaces, overlays above it. From /proc, as root. */
import { readlink } from 'node:fs/promises';
import { readMountTable, type MountEntry } from '../../sys/mounts/mount-table.js';
import { allPids, commandName } from '../../sys/processes/proc.js';

/** Milliseconds and mount namespaces that a search may take: what is not found by then is not named. */
const SEARCH_MS = 2_000;
const MAX_NAMESPACES = 2_000;

export interface MountCopy {
  /** As the kernel numbers mounts, across all namespaces. */
  readonly id: number;
  /** Where, seen from that namespace. */
  readonly mountpoint: string;
  /** `overlay`: this file system is a layer of the one that is mounted there. */
  readonly kind: 'mount' | 'overlay';
  /** A process in the mount namespace that has it; undefined where that is our own. */
  readonly process: { readonly pid: number; readonly command: string } | undefined;
}

/** Mounts of the same file system as `mount`, and overlays on it, in every mount namespace that we may look into. */
export async function findCopies(mount: MountEntry): Promise<readonly MountCopy[]> {
  const until = performance.now() + SEARCH_MS;
  const own = await namespaceOf('self');
  const seen = new Set<string>();
  const copies: MountCopy[] = [];
  for (const pid of ['self', ...allPids()] as const) {
    if (performance.now() > until || seen.size >= MAX_NAMESPACES) break;
    const namespace = await namespaceOf(pid);
    if (namespace === '' || seen.has(namespace)) continue;
    seen.add(namespace);
    copies.push(...(await copiesSeenBy(pid, mount, namespace === own)));
  }
  return copies;
}

export function describeCopy({ mountpoint, kind, process }: MountCopy): string {
  const where =
    process === undefined ? '' : ` in the mount namespace of ${process.command} (pid ${process.pid})`;
  return kind === 'mount'
    ? `also mounted at ${mountpoint}${where}`
    : `a layer of the overlay at ${mountpoint}${where}`;
}

async function copiesSeenBy(
  pid: number | 'self',
  mount: MountEntry,
  own: boolean,
): Promise<readonly MountCopy[]> {
  const table = await readMountTable(`/proc/${pid}/mountinfo`).catch(() => []);
  const found = table.filter((entry) => (own ? entry.id !== mount.id : true) && isCopy(entry, mount));
  if (found.length === 0) return [];
  const process = own || pid === 'self' ? undefined : { pid, command: await commandName(pid) };
  return found.map(({ id, mountpoint, type }) => ({
    id,
    mountpoint,
    kind: type === 'overlay' ? 'overlay' : 'mount',
    process,
  }));
}

/** An overlay holds its layers by mounts that no table shows; what it was told to use is all there is to see. */
function isCopy(entry: MountEntry, mount: MountEntry): boolean {
  if (entry.type !== 'overlay') return entry.major === mount.major && entry.minor === mount.minor;
  const layers = entry.options
    .filter((option) => option.startsWith('lowerdir'))
    .flatMap((option) => option.slice(option.indexOf('=') + 1).split(':'));
  return layers.some((layer) => layer === mount.mountpoint || layer.startsWith(`${mount.mountpoint}/`));
}

/** Empty when the process is gone or not ours to look at. */
async function namespaceOf(pid: number | 'self'): Promise<string> {
  return readlink(`/proc/${pid}/ns/mnt`).catch(() => '');
}
