import { writeFile } from 'node:fs/promises';
import { run } from './command.js';

/**
 * Empties the page cache of the whole machine: of FUSE files, of block devices and of file systems on disks.
 * tmpfs has nothing to drop, so a file in tmpfs reads as fast cold as warm.
 */
export async function dropPageCache(): Promise<void> {
  // 1, not 3: with their pages gone, dentries and inodes of other people's files are of no account here.
  await writeFile('/proc/sys/vm/drop_caches', '1');
}

/** Bytes of a file that the page cache holds. */
export async function cachedBytes(path: string, signal: AbortSignal): Promise<number> {
  const { stdout } = await run('fincore', ['--bytes', '--noheadings', '--output=RES', path], { signal });
  return Number(stdout.trim());
}
