import { readFile } from 'node:fs/promises';

/** One mount of a mount namespace: a line of /proc/PID/mountinfo. */
export interface MountEntry {
  readonly id: number;
  /** Device number of the file system; for FUSE the minor names its connection in /sys/fs/fuse/connections. */
  readonly major: number;
  readonly minor: number;
  /** The directory of the file system that is mounted: `/` unless it is a part of it. */
  readonly root: string;
  readonly mountpoint: string;
  /** As `fuse.cinderfs`. */
  readonly type: string;
  readonly source: string;
  /**
   * Options of the file system, as `lowerdir=/a:/b`; those of the mount are not among them. FUSE names here the user
   * that mounted it.
   */
  readonly options: readonly string[];
}

/** All mounts, oldest first: of several on one directory the last is the one seen. */
export async function readMountTable(path = '/proc/self/mountinfo'): Promise<readonly MountEntry[]> {
  return parseMountTable(await readFile(path, 'utf8'));
}

/** The mount seen at exactly `directory` (an absolute path without symlinks), if any. */
export async function findMount(directory: string): Promise<MountEntry | undefined> {
  const table = await readMountTable();
  return table.findLast(({ mountpoint }) => mountpoint === directory);
}

export function parseMountTable(text: string): readonly MountEntry[] {
  return text.split('\n').flatMap((line) => {
    const [head = '', tail] = line.split(' - ', 2);
    return tail === undefined ? [] : [entryOf(head, tail)];
  });
}

/** proc(5): id parent major:minor root mountpoint options [tags...] - type source superoptions */
function entryOf(head: string, tail: string): MountEntry {
  const [id, , device = '', root = '', mountpoint = ''] = head.split(' ');
  const [type = '', source = '', options = ''] = tail.split(' ');
  const [major = 0, minor = 0] = device.split(':').map(Number);
  return {
    id: Number(id),
    major,
    minor,
    root: unescapeOctal(root),
    mountpoint: unescapeOctal(mountpoint),
    type,
    source: unescapeOctal(source),
    options: options.split(',').map(unescapeOctal),
  };
}

/** The kernel writes space, tab, newline and backslash as three octal digits. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
}
