import { readFile } from 'node:fs/promises';
import { run } from './command.js';

/** Whether something is mounted exactly at `path`, a directory or a file. Never touches the path itself. */
export async function isMounted(path: string): Promise<boolean> {
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  return table.split('\n').some((line) => line.split(' ')[4] === path);
}

/** Detaches what is mounted at `path`, if anything still is: whatever served it may be gone or hung. */
export async function unmountAnyway(path: string): Promise<void> {
  if (await isMounted(path)) await run('umount', ['--lazy', path]);
}
