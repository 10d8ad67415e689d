import { readFile } from 'node:fs/promises';
import type { Clock } from '../../../async/clock.js';

/** SIGHUP, SIGINT, SIGQUIT, SIGKILL and SIGTERM, as bits of the masks in /proc/PID/status. */
const LEAVING = [1, 2, 3, 9, 15].reduce((mask, signal) => mask | (1n << BigInt(signal - 1)), 0n);

/**
 * Whether the thread that waits for us has a signal pending that means to end what it does. The kernel sends INTERRUPT
 * for any signal, also one that a program handles as a matter of course (a timer, SIGCHLD, the SIGUSR1 of qemu), and
 * an EINTR then would fail an open that its caller still wants: qemu-img does not try again.
 * A thread that is gone, or not visible from here, is taken as leaving.
 */
async function wantsToLeave(pid: number): Promise<boolean> {
  if (pid === 0) return true;
  const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => undefined);
  if (status === undefined) return true;
  const mask = (name: string): bigint =>
    BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)`, 'm').exec(status)?.[1] ?? '0'}`);
  const pending = (mask('SigPnd') | mask('ShdPnd')) & ~(mask('SigBlk') | mask('SigIgn'));
  return (pending & LEAVING) !== 0n;
}

/** The kernel tells of the first signal only; whether a later one means to end the call is looked up this often. */
const SIGNALS_MS = 250;

export interface FollowOptions {
  readonly clock: Clock;
  /** Milliseconds before it is asked for the first time. */
  readonly patienceMs: number;
  /** Whether the call still waits for its answer. */
  readonly waits: () => boolean;
  readonly leaves: () => void;
}

/** A caller was interrupted: calls `leaves` once it means to end the call; asks again for as long as it `waits`. */
export function followCaller(pid: number, { clock, patienceMs, waits, leaves }: FollowOptions): void {
  const ask = async (): Promise<void> => {
    if (!waits()) return;
    const leaving = await wantsToLeave(pid);
    if (!waits()) return;
    if (leaving) leaves();
    else clock.after(SIGNALS_MS, () => void ask());
  };
  if (patienceMs === 0) void ask();
  else clock.after(patienceMs, () => void ask());
}
