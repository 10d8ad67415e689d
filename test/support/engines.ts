/** The processes that serve a mount, found without asking them. */
import { readdir, readFile } from 'node:fs/promises';

/** The engine that the supervisor `pid` runs now, if it runs one. */
export async function engineOf(pid: number): Promise<number | undefined> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  for (const child of children.trim().split(' ').map(Number))
    if ((await wordsOf(child)).includes('engine')) return child;
  return undefined;
}

/** Every engine of `mountpoint`, also one whose supervisor is dead. */
export async function enginesOn(mountpoint: string): Promise<readonly number[]> {
  const found: number[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)) {
    const words = await wordsOf(pid);
    if (words.includes('engine') && words.includes(mountpoint)) found.push(pid);
  }
  return found;
}

/** True once nothing of the process runs any more; for polling. */
export async function hasEnded(pid: number): Promise<true | undefined> {
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
  return state.includes(') Z') ? true : undefined;
}

/** Its command line; a zombie has none. */
async function wordsOf(pid: number): Promise<readonly string[]> {
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
}
