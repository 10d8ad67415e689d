/** Who keeps a mount busy, from /proc: as root everybody, as a user only one's own processes. */
import { readFile, readdir, readlink } from 'node:fs/promises';

export interface Holder {
  readonly pid: number;
  /** The command's name; of a virtual machine its domain as well. */
  readonly command: string;
  /** What of the mount it uses: `open /images/x`, `working directory /images`, `mapped /images/x`. */
  readonly what: string;
}

/** The processes that use files below `directory`, each with the first use found. This process is not one of them. */
export async function findHolders(directory: string): Promise<Holder[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const holders: Holder[] = [];
  for (const pid of pids) {
    if (pid === process.pid) continue;
    const what = await firstUse(pid, directory);
    if (what !== undefined) holders.push({ pid, command: await commandOf(pid), what });
  }
  return holders;
}

export function describeHolder({ pid, command, what }: Holder): string {
  return `${command} (pid ${pid}): ${what}`;
}

async function firstUse(pid: number, directory: string): Promise<string | undefined> {
  const inside = (path: string): boolean => path === directory || path.startsWith(`${directory}/`);
  for (const [link, what] of [
    ['cwd', 'working directory'],
    ['root', 'root directory'],
    ['exe', 'runs'],
  ] as const) {
    const path = await linkTarget(`/proc/${pid}/${link}`);
    if (inside(path)) return `${what} ${path}`;
  }
  for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
    const path = await linkTarget(`/proc/${pid}/fd/${fd}`);
    if (inside(path)) return `open ${path}`;
  }
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8').catch(() => '');
  const mapped = mappedPaths(maps).find(inside);
  return mapped === undefined ? undefined : `mapped ${mapped}`;
}

/** proc(5): the path is the sixth field of a line, and may hold spaces. */
function mappedPaths(maps: string): string[] {
  return Array.from(maps.matchAll(/^(?:\S+\s+){5}(\/.*)$/gm), (match) => match[1] ?? '');
}

/** Empty when the process is gone or not ours to look at. */
async function linkTarget(path: string): Promise<string> {
  return readlink(path).catch(() => '');
}

/** comm, and for QEMU the name of the domain: operators know virtual machines, not pids. */
async function commandOf(pid: number): Promise<string> {
  const comm = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'unknown')).trim();
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
  const name = /^(?:guest=)?([^,]+)/.exec(words[words.indexOf('-name') + 1] ?? '')?.[1];
  return words.includes('-name') && comm.startsWith('qemu') && name !== undefined ? `${comm} ${name}` : comm;
}
