import { type Clock, sleep } from '../../async/clock.js';
import { kernelTextSync } from '../files/kernel-text.js';
import { openPidFd } from './pidfd.js';

/** A process for as long as it lives: its number is given to another one later, its start time is not. */
export interface ProcessName {
  readonly pid: number;
  /** Clock ticks since the boot of the host (proc(5), field 22 of stat). */
  readonly started: string;
}

const LOOK_MS = 20;

/** The name of `pid`; undefined when there is no such process (a zombie is none). */
export function nameProcess(pid: number): ProcessName | undefined {
  const stat = kernelTextSync(`/proc/${pid}/stat`);
  // The command, in parentheses, may hold anything, also parentheses.
  const [state = '', ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const started = fields[18];
  return started === undefined || 'ZX'.includes(state) ? undefined : { pid, started };
}

/** Whether it still runs. */
export function isAlive({ pid, started }: ProcessName): boolean {
  return nameProcess(pid)?.started === started;
}

/**
 * Sends `signal` to that process, never to one that got its number later: it is held by descriptor before it is looked
 * at. Where there are no such descriptors (no koffi, Linux before 5.3) the start time alone tells. Nothing when it is gone.
 */
export function signalProcess(name: ProcessName, signal: NodeJS.Signals): void {
  const held = openPidFd(name.pid);
  try {
    if (!isAlive(name)) return;
    if (held === undefined) process.kill(name.pid, signal);
    else held.signal(signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  } finally {
    held?.close();
  }
}

/** Whether it is gone within `ms`. It need not be our child, so there is no event for its end. */
export async function isGoneWithin(name: ProcessName, clock: Clock, ms: number): Promise<boolean> {
  const end = clock.now() + ms;
  while (isAlive(name)) {
    if (clock.now() >= end) return false;
    await sleep(clock, LOOK_MS);
  }
  return true;
}
