import type { Clock } from '../../async/clock.js';
import { CinderfsError } from '../../errors.js';
import { isGoneWithin, nameProcess, type ProcessName, signalProcess } from './process-name.js';

/** Between SIGTERM and SIGKILL. */
const TERM_MS = 3_000;
const KILL_MS = 5_000;

/**
 * Ends process `pid`: SIGTERM, then SIGKILL. Resolves when it is gone; `connector_failed` when it outlives SIGKILL (stuck
 * in the kernel). `isOurs` is asked once the process is known by its start time, so that no process is ever signalled
 * that got the number of one of ours.
 */
export async function endProcess(
  pid: number,
  clock: Clock,
  isOurs: () => Promise<boolean> = () => Promise.resolve(true),
): Promise<void> {
  const name = nameProcess(pid);
  if (name === undefined || !(await isOurs())) return;
  signalProcess(name, 'SIGTERM');
  if (!(await isGoneWithin(name, clock, TERM_MS))) await killProcess(name, clock);
}

/** By SIGKILL. Resolves when it is gone; `connector_failed` when it outlives that. */
export async function killProcess(name: ProcessName, clock: Clock): Promise<void> {
  signalProcess(name, 'SIGKILL');
  if (await isGoneWithin(name, clock, KILL_MS)) return;
  throw new CinderfsError('connector_failed', `process ${name.pid} cannot be killed`);
}
