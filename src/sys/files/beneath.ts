/**
 * Opens files whose names come from outside, below a directory that we chose: what openat2(2) does with RESOLVE_BENEATH and
 * RESOLVE_NO_SYMLINKS. Each component is opened O_NOFOLLOW from a descriptor of the one above, by Node's own calls: they
 * run on pool threads, where a share that hangs blocks no other call, and they need no koffi.
 */
import { constants, type BigIntStats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { relative } from 'node:path';

/** Node has no name for it. The same on every architecture that Node runs on. */
const O_PATH = 0o10000000;
const DIRECTORY = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** A file, and how it was found. */
export interface NamedFile {
  readonly path: string;
  /** The directory that it must lie below; without one the path is ours, and opened as it is. */
  readonly beneath?: string | undefined;
  /** `DEVICE:INODE` of the regular file that was proven; nothing else is opened. */
  readonly inode?: string | undefined;
}

/**
 * Opens it with `flags` (read-only unless they say otherwise). A file below a directory must be a regular one, reached
 * without a link of any kind, and the one that was proven. Rejects with an Error whose message says what it is instead,
 * or with that of the system call.
 */
export async function openNamed(file: NamedFile, flags = constants.O_RDONLY): Promise<FileHandle> {
  if (file.beneath === undefined) return open(file.path, flags | constants.O_NONBLOCK);
  const found = await lookBeneath(file.beneath, file.path);
  try {
    if (file.inode !== undefined && inodeOf(found.stats) !== file.inode)
      throw new Error(`${file.path} is another file than the one that was proven`);
    // The descriptor leads to what was just looked at, whatever has the name by now.
    return await open(`/proc/self/fd/${found.handle.fd}`, flags | constants.O_NONBLOCK);
  } finally {
    await found.handle.close();
  }
}

/** Which regular file the path names now. Rejects as openNamed does. Nothing is opened for reading. */
export async function statBeneath(beneath: string, path: string): Promise<BigIntStats> {
  const { handle, stats } = await lookBeneath(beneath, path);
  await handle.close();
  return stats;
}

export function inodeOf({ dev, ino }: Pick<BigIntStats, 'dev' | 'ino'>): string {
  return `${dev}:${ino}`;
}

/** An O_PATH descriptor: to look at a fifo or a device that way has no effect on it. */
async function lookBeneath(
  beneath: string,
  path: string,
): Promise<{ handle: FileHandle; stats: BigIntStats }> {
  const names = relative(beneath, path).split('/');
  if (names.some((name) => name === '' || name === '.' || name === '..' || name.includes('\0')))
    throw new Error(`${path} is not below ${beneath}`);
  // The directory itself is ours to name, links and all.
  let at = await open(beneath, O_PATH | constants.O_DIRECTORY);
  try {
    const { dev } = await at.stat({ bigint: true });
    for (const [index, name] of names.entries()) {
      const last = index === names.length - 1;
      const next = await open(
        `/proc/self/fd/${at.fd}/${name}`,
        last ? O_PATH | constants.O_NOFOLLOW : DIRECTORY,
      );
      await at.close();
      at = next;
    }
    const stats = await at.stat({ bigint: true });
    if (stats.isSymbolicLink()) throw new Error(`${path} is a symbolic link`);
    if (!stats.isFile()) throw new Error(`${path} is not a regular file`);
    if (stats.dev !== dev) throw new Error(`${path} is on another file system than ${beneath}`);
    return { handle: at, stats };
  } catch (error) {
    await at.close().catch(() => undefined);
    throw error;
  }
}
