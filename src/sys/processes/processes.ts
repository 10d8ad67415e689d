import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { type Clock, sleep } from '../../async/clock.js';
import { CinderfsError } from '../../errors.js';
import { openPidFd } from './pidfd.js';

const GONE_POLL_MS = 20;
/** Between SIGTERM and SIGKILL. */
const TERM_MS = 3_000;
const KILL_MS = 5_000;

/** When the process started, in clock ticks after boot, or undefined when there is none (a zombie is none). */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The command, in parentheses, may hold anything: fields are counted after its end. 1 is the state, 20 the start.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/**
 * True when process `pid` is one we started: one of `uids` runs it (our own, by default), its executable is called
 * `program`, and `argument` is among its arguments. Arguments alone prove nothing: everybody writes their own.
 */
export async function runs(
  pid: number,
  program: string,
  argument: string,
  uids: readonly number[] = [process.getuid?.() ?? 0],
): Promise<boolean> {
  try {
    const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
    if (!argv.slice(1).includes(argument)) return false;
    // An upgrade of its package replaces the file, and " (deleted)" is appended.
    const executable = (await readlink(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, '');
    if (basename(executable) !== program) return false;
    return (await uidsOf(pid)).every((uid) => uids.includes(uid));
  } catch {
    return false;
  }
}

/** Processes that run `program` with `argument`: how one of ours is found again after a crash, whatever its pid. */
export async function findProcesses(
  program: string,
  argument: string,
  uids?: readonly number[],
): Promise<readonly number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => ((await runs(pid, program, argument, uids)) ? [pid] : [])),
  );
  return found.flat();
}

/**
 * Ends process `pid`: SIGTERM, then SIGKILL. Resolves when it is gone; `connector_failed` when it outlives SIGKILL (stuck
 * in the kernel). `isOurs` is asked once the process is held by descriptor, so that no process is ever signalled that
 * got the number of one of ours; where the kernel has no such descriptors, its start time is compared instead.
 */
export async function endProcess(
  pid: number,
  clock: Clock,
  isOurs: () => Promise<boolean> = () => Promise.resolve(true),
): Promise<void> {
  const held = openPidFd(pid);
  try {
    const startTime = await startTimeOf(pid);
    if (startTime === undefined || !(await isOurs())) return;
    for (const [signal, ms] of [
      ['SIGTERM', TERM_MS],
      ['SIGKILL', KILL_MS],
    ] as const) {
      if (held !== undefined) held.signal(signal);
      else if ((await startTimeOf(pid)) === startTime) send(pid, signal);
      if (await ended(pid, startTime, clock, ms)) return;
    }
  } finally {
    held?.close();
  }
  throw new CinderfsError('connector_failed', `process ${pid} cannot be killed`);
}

/** Real, effective, saved and file system uid. Not the owner of /proc/PID: that is root for who has dropped privileges. */
async function uidsOf(pid: number): Promise<readonly number[]> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const [, uids = ''] = /^Uid:\s+(.*)$/m.exec(status) ?? [];
  return uids === '' ? [-1] : uids.split(/\s+/).map(Number);
}

/** Not our child after a restart, so there is no event for its end. */
async function ended(pid: number, startTime: string, clock: Clock, ms: number): Promise<boolean> {
  const end = clock.now() + ms;
  while ((await startTimeOf(pid)) === startTime) {
    if (clock.now() >= end) return false;
    await sleep(clock, GONE_POLL_MS);
  }
  return true;
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone: the next look tells.
  }
}
