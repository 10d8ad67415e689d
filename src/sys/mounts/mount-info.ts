import { readFile } from 'node:fs/promises';

/** One line of /proc/self/mountinfo. */
export interface MountLine {
  /** `MAJOR:MINOR` of st_dev. */
  readonly device: string;
  /** The directory of the file system that is mounted: `/` unless it is a part of it. */
  readonly root: string;
  readonly directory: string;
  readonly type: string;
  readonly source: string;
  /** Of the file system, not of the mount: FUSE names here the user who mounted it. */
  readonly options: readonly string[];
}

/** Every mount of this process's mount namespace, in the order in which they were made. */
export async function mountLines(file = '/proc/self/mountinfo'): Promise<readonly MountLine[]> {
  const text = await readFile(file, 'utf8');
  return text.split('\n').flatMap((line) => {
    const [left = '', right] = line.split(' - ');
    const [, , device = '', root = '', directory = ''] = left.split(' ');
    const [type = '', source = '', options = ''] = right?.split(' ') ?? [];
    if (right === undefined) return [];
    return [
      {
        device,
        root: unescaped(root),
        directory: unescaped(directory),
        type,
        source: unescaped(source),
        options: options.split(','),
      },
    ];
  });
}

/** The kernel writes space, tab, newline and backslash as octal. */
function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
