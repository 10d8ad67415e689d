import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { type Clock, sleep } from '../async/clock.js';
import { CinderfsError } from '../errors.js';

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

/** True when process `pid` runs `program` with exactly `argument` among its arguments: so it is one we started. */
export async function runs(pid: number, program: string, argument: string): Promise<boolean> {
  try {
    const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
    return basename(argv[0] ?? '') === program && argv.includes(argument);
  } catch {
    return false;
  }
}

/** Processes that run `program` with `argument`: how one of ours is found again after a crash, whatever its pid. */
export async function findProcesses(program: string, argument: string): Promise<readonly number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => ((await runs(pid, program, argument)) ? [pid] : [])),
  );
  return found.flat();
}

/**
 * Ends process `pid` with its group: SIGTERM, then SIGKILL. Resolves when it is gone; `connector_failed` when it
 * outlives SIGKILL (stuck in the kernel). The caller has made sure that the process is ours.
 */
export async function endProcess(pid: number, clock: Clock): Promise<void> {
  const startTime = await startTimeOf(pid);
  if (startTime === undefined) return;
  for (const [signal, ms] of [
    ['SIGTERM', TERM_MS],
    ['SIGKILL', KILL_MS],
  ] as const) {
    send(pid, signal);
    if (await ended(pid, startTime, clock, ms)) return;
  }
  throw new CinderfsError('connector_failed', `process ${pid} cannot be killed`);
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
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, signal);
      return;
    } catch {
      // Not a group leader, or gone: the next look tells.
    }
  }
}
