import { readFileSync } from 'node:fs';
import { sleep, systemClock } from '../../async/clock.js';

/** A process for as long as it lives: its number is given to another one later, its start time is not. */
export interface ProcessName {
  readonly pid: number;
  /** Clock ticks since the boot of the host (proc(5), field 22 of stat). */
  readonly started: string;
}

const LOOK_MS = 5;

/** The name of `pid`; undefined when there is no such process. */
export function nameProcess(pid: number): ProcessName | undefined {
  const fields = fieldsOf(pid);
  return fields === undefined ? undefined : { pid, started: fields.started };
}

/** Whether it still runs. */
export function isAlive({ pid, started }: ProcessName): boolean {
  const fields = fieldsOf(pid);
  return fields?.started === started && !'ZX'.includes(fields.state);
}

/** Sends `signal`, unless the process is gone. */
export function signalProcess(name: ProcessName, signal: NodeJS.Signals): void {
  try {
    if (isAlive(name)) process.kill(name.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Kills it and waits until it is gone. */
export async function endProcess(name: ProcessName): Promise<void> {
  signalProcess(name, 'SIGKILL');
  while (isAlive(name)) await sleep(systemClock, LOOK_MS);
}

/** The command's name is in parentheses and may hold anything, also parentheses. */
function fieldsOf(pid: number): { readonly state: string; readonly started: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? 'X', started: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}
