/** The processes that keep a mount busy, from /proc: as root all of them, as a user only one's own. */
import { readdir, readlink } from 'node:fs/promises';
import { kernelText } from '../../sys/files/kernel-text.js';
import { allPids, commandName } from '../../sys/processes/proc.js';

export interface Holder {
  /** Undefined where the kernel itself is the holder. */
  readonly pid: number | undefined;
  /** The command's name; of a virtual machine its domain as well. */
  readonly command: string;
  /** What of the mount it uses: `open /images/x`, `working directory /images`, `mapped /images/x`. */
  readonly what: string;
}

/** Where to look: directories as processes see them, and the mounts that an open file may be on (any when absent). */
export interface HeldPlaces {
  readonly directories: readonly string[];
  readonly mounts?: ReadonlySet<number>;
}

/** The processes that use files below `directory`, each with the first use found. This process is not one of them. */
export async function findHolders(directory: string): Promise<Holder[]> {
  return findHoldersIn({ directories: [directory] });
}

/** The same in several places; loop devices as well. */
export async function findHoldersIn(places: HeldPlaces): Promise<Holder[]> {
  const holders: Holder[] = [];
  for (const pid of allPids()) {
    if (pid === process.pid) continue;
    const what = await firstUse(pid, places);
    if (what !== undefined) holders.push({ pid, command: await commandOf(pid), what });
  }
  return [...holders, ...(await loopDevices(places))];
}

export function describeHolder({ pid, command, what }: Holder): string {
  return pid === undefined ? `${command}: ${what}` : `${command} (pid ${pid}): ${what}`;
}

function isInside({ directories }: HeldPlaces): (path: string) => boolean {
  return (path) => directories.some((directory) => path === directory || path.startsWith(`${directory}/`));
}

async function firstUse(pid: number, places: HeldPlaces): Promise<string | undefined> {
  const inside = isInside(places);
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
    if (inside(path) && (await isOn(pid, fd, places))) return `open ${path}`;
  }
  const maps = await kernelText(`/proc/${pid}/maps`);
  const mapped = mappedPaths(maps).find(inside);
  return mapped === undefined ? undefined : `mapped ${mapped}`;
}

/** Another file system may be mounted at the same path in another mount namespace. */
async function isOn(pid: number, fd: string, { mounts }: HeldPlaces): Promise<boolean> {
  if (mounts === undefined) return true;
  const info = await kernelText(`/proc/${pid}/fdinfo/${fd}`);
  const mount = /^mnt_id:\s*(\d+)$/m.exec(info)?.[1];
  return mount === undefined || mounts.has(Number(mount));
}

/** Their files are opened by the kernel: no process shows them. */
async function loopDevices(places: HeldPlaces): Promise<Holder[]> {
  const inside = isInside(places);
  const holders: Holder[] = [];
  const names = await readdir('/sys/block').catch(() => []);
  for (const name of names.filter((text) => text.startsWith('loop'))) {
    const file = await kernelText(`/sys/block/${name}/loop/backing_file`);
    if (inside(file)) holders.push({ pid: undefined, command: `/dev/${name}`, what: `open ${file}` });
  }
  return holders;
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
  const comm = await commandName(pid);
  const words = (await kernelText(`/proc/${pid}/cmdline`)).split('\0');
  const name = /^(?:guest=)?([^,]+)/.exec(words[words.indexOf('-name') + 1] ?? '')?.[1];
  return words.includes('-name') && comm.startsWith('qemu') && name !== undefined ? `${comm} ${name}` : comm;
}
