/** What processes have used, from /proc. A process that has ended counts as nothing. */
import { readFile, readdir, readlink } from 'node:fs/promises';

/** USER_HZ: fixed at 100 in the kernel's interface to user space on every architecture Node runs on. */
const TICKS_PER_SECOND = 100;

/** The processes and all their children, theirs too. */
export async function withDescendants(pids: readonly number[]): Promise<number[]> {
  const found = [...pids];
  // The loop comes to what it appends, too.
  for (const pid of found) found.push(...(await childrenOf(pid)));
  return found;
}

async function childrenOf(pid: number): Promise<number[]> {
  // A child is listed under the thread that started it, which need not be the main one.
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const lists = await Promise.all(threads.map((thread) => proc(`${pid}/task/${thread}/children`)));
  return lists
    .flatMap((list) => list.trim().split(' '))
    .filter((word) => word !== '')
    .map(Number);
}

/** The program's name, cut to 15 characters by the kernel. */
export async function commandOf(pid: number): Promise<string> {
  return (await proc(`${pid}/comm`)).trim();
}

/** User and system time of the processes, all threads, in seconds; to 10 ms. */
export function cpuSeconds(pids: readonly number[]): Promise<number> {
  return sum(pids, async (pid) => {
    const stat = await proc(`${pid}/stat`);
    // The second field is the command's name in parentheses and may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND;
  });
}

/**
 * Bytes the processes have got from read(2) and its kin, from the page cache or not. For a server this is what
 * it took from its source, plus some 80 bytes for each request it read from /dev/fuse. recv(2) does not count.
 */
export function bytesRead(pids: readonly number[]): Promise<number> {
  return sum(pids, (pid) => field(`${pid}/io`, /^rchar: (\d+)$/m));
}

/** Resident bytes now. The file pages that processes of one program share (its text) are counted once. */
export async function residentBytes(pids: readonly number[]): Promise<number> {
  const resident = await sum(pids, (pid) => kilobytes(`${pid}/status`, /^VmRSS:\s+(\d+) kB$/m));
  return resident - (await countedAgain(pids));
}

/** The most bytes each process was ever resident with, added up; shared pages as above. */
export async function peakResidentBytes(pids: readonly number[]): Promise<number> {
  const resident = await sum(pids, (pid) => kilobytes(`${pid}/status`, /^VmHWM:\s+(\d+) kB$/m));
  return resident - (await countedAgain(pids));
}

/** What processes of one program share, for all of them but one: a supervisor and its engine are one Node in memory. */
async function countedAgain(pids: readonly number[]): Promise<number> {
  const byProgram = new Map<string, number[]>();
  for (const pid of pids) {
    const program = await readlink(`/proc/${pid}/exe`).catch(() => '');
    const shared = await kilobytes(`${pid}/smaps_rollup`, /^Shared_Clean:\s+(\d+) kB$/m);
    byProgram.set(program, [...(byProgram.get(program) ?? []), shared]);
  }
  return [...byProgram.values()].reduce((total, shared) => {
    const all = shared.reduce((one, other) => one + other, 0);
    return total + all - Math.max(...shared);
  }, 0);
}

async function kilobytes(path: string, pattern: RegExp): Promise<number> {
  return 1024 * (await field(path, pattern));
}

async function sum(pids: readonly number[], ofOne: (pid: number) => Promise<number>): Promise<number> {
  const values = await Promise.all(pids.map(ofOne));
  return values.reduce((total, value) => total + value, 0);
}

async function field(path: string, pattern: RegExp): Promise<number> {
  return Number(pattern.exec(await proc(path))?.[1] ?? 0);
}

function proc(path: string): Promise<string> {
  return readFile(`/proc/${path}`, 'utf8').catch(() => '');
}
