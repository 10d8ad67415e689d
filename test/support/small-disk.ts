import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run } from './program.js';
import { temporaryFolder } from './temporary.js';
import type { Undo } from './undo.js';

/** A tmpfs of `bytes` of its own, gone with the test. Needs root. */
export async function smallDisk(undo: Undo, bytes: number): Promise<string> {
  const dir = await temporaryFolder(undo);
  const { status, stderr } = await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'cinderfs-test', dir]);
  if (status !== 0) throw new Error(stderr);
  undo.after(() => run('umount', ['-l', dir]));
  return dir;
}

/** Takes every page that is left; the file to remove when there shall be space again. */
export function fillDisk(dir: string): string {
  const filler = path.join(dir, 'filler');
  rmSync(filler, { force: true });
  try {
    for (;;) writeFileSync(filler, Buffer.alloc(4096), { flag: 'a' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
  return filler;
}
