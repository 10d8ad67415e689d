import { readFile } from 'node:fs/promises';

/** One mount as this process sees it (a line of /proc/self/mountinfo). */
export interface MountEntry {
  readonly id: number;
  /** Device number of the mount; for FUSE the minor names its connection in /sys/fs/fuse/connections. */
  readonly major: number;
  readonly minor: number;
  readonly mountpoint: string;
  /** As `fuse.cinderfs`. */
  readonly type: string;
  readonly source: string;
  /** Options of the file system, as `lowerdir=/a:/b`; those of the mount are not among them. */
  readonly options: readonly string[];
}

/** The file system type of our mounts, as the mount table shows it. */
export const MOUNT_TYPE = 'fuse.cinderfs';

/** Alive or dead, whoever mounted it. */
export function isMountOfOurs({ type }: Pick<MountEntry, 'type'>): boolean {
  return type === MOUNT_TYPE;
}

/** The user who mounted, of a FUSE mount. */
export function mounterOf({ options }: Pick<MountEntry, 'options'>): number | undefined {
  const user = options.find((option) => option.startsWith('user_id='))?.slice('user_id='.length);
  return user === undefined ? undefined : Number(user);
}

/** All mounts, oldest first: of several on one directory the last is the one seen. */
export async function readMountTable(path = '/proc/self/mountinfo'): Promise<MountEntry[]> {
  return parseMountTable(await readFile(path, 'utf8'));
}

/** The mount seen at exactly `directory` (an absolute path without symlinks), if any. */
export async function findMount(directory: string): Promise<MountEntry | undefined> {
  const table = await readMountTable();
  return table.findLast(({ mountpoint }) => mountpoint === directory);
}

export function parseMountTable(text: string): MountEntry[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map(parseLine);
}

/** proc(5): id parent major:minor root mountpoint options [tags...] - type source superoptions */
function parseLine(line: string): MountEntry {
  const [head = '', tail = ''] = line.split(' - ', 2);
  const [id, , device = '', , mountpoint = ''] = head.split(' ');
  const [type = '', source = '', options = ''] = tail.split(' ');
  const [major, minor] = device.split(':').map(Number);
  return {
    id: Number(id),
    major: major ?? 0,
    minor: minor ?? 0,
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
