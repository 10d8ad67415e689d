import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

export interface DaemonOptions {
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** True once it serves; asked until then. `said` is its stderr so far. */
  readonly isReady: (said: string) => boolean | Promise<boolean>;
}

/** A program that runs until it is stopped. */
export interface Daemon {
  readonly pid: number;
  /** SIGTERM, and SIGKILL after ten seconds. Resolves when it is gone; idempotent. */
  stop(): Promise<void>;
}

const READY_MS = 60_000;
const STOP_MS = 10_000;
/** Nothing to wait on tells when a foreign program has mounted: its mount is looked for this often. */
const POLL_MS = 5;

/** Starts a program in the foreground and resolves once it serves. Leaves no process behind when that fails. */
export async function startDaemon(
  command: string,
  args: readonly string[],
  options: DaemonOptions,
): Promise<Daemon> {
  const child = spawn(command, args, {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-10_000)));
  const spawned = once(child, 'spawn');
  await spawned;
  const stop = (): Promise<void> => stopChild(child);
  try {
    const deadline = performance.now() + READY_MS;
    while (!(await options.isReady(said))) {
      if (!isRunning(child)) throw new Error('it ended by itself');
      if (performance.now() > deadline) throw new Error(`not ready after ${READY_MS / 1000} s`);
      await sleep(POLL_MS);
    }
  } catch (error) {
    await stop();
    throw new Error(`${[command, ...args].join(' ')}: ${(error as Error).message}\n${said.trim()}`, {
      cause: error,
    });
  }
  return { pid: child.pid ?? 0, stop };
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (!isRunning(child)) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const killer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await exited;
  clearTimeout(killer);
}
