import { readFile } from 'node:fs/promises';

/** One line of /proc/self/mountinfo, as far as it is needed here. */
export interface MountEntry {
  /** `major:minor` of the mounted file system; the minor names its fusectl directory. */
  readonly device: string;
  readonly mountpoint: string;
  readonly type: string;
}

/**
 * The file system on top at `mountpoint`; undefined when nothing is mounted there. Never stats the mount point: a
 * stat of our own mount from our own main thread would wait for itself.
 */
export async function mountedAt(mountpoint: string): Promise<MountEntry | undefined> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  return lines
    .map(parseLine)
    .filter((entry) => entry !== undefined)
    .findLast((entry) => entry.mountpoint === mountpoint);
}

/** `36 35 98:0 /root /mountpoint rw,noatime master:1 - ext3 /dev/root rw` */
function parseLine(line: string): MountEntry | undefined {
  const [front = '', back = ''] = line.split(' - ');
  const [, , device, , mountpoint] = front.split(' ');
  const [type] = back.split(' ');
  if (device === undefined || mountpoint === undefined || type === undefined) return undefined;
  return { device, mountpoint: unescape(mountpoint), type };
}

/** Space, tab, newline and backslash are octal escapes in mountinfo. */
function unescape(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
