/** One server of ours, qemu-nbd or qemu-storage-daemon: how it is started, waited for, found again after a crash, and ended. */
import { constants, watch } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { type Clock, sleep } from '../../../async/clock.js';
import { withDeadline } from '../../../async/deadline.js';
import { CinderfsError, reasonOf } from '../../../errors.js';
import { endProcess } from '../../../sys/processes/end-process.js';
import { findProcesses, runs } from '../../../sys/processes/find-processes.js';
import { type Command, start, type Started } from '../../../sys/processes/run-command.js';

/** A pid and a newline are shorter. */
const PID_BYTES = 32;
/** A killed process that is stuck in the kernel is left to endServers(). */
const KILL_MS = 5_000;

export interface NbdProcess {
  /** What serves, by name or path: `command` may be what makes its cell. */
  readonly program: string;
  readonly command: Command;
  /** Its stderr. */
  readonly log: string;
  /** It writes a line there once it listens. */
  readonly readyFile: string;
  /** A descriptor of ours that it gets (INHERITED). */
  readonly inherits?: number | undefined;
}

export interface Patience {
  readonly clock: Clock;
  readonly ms: number;
  readonly signal: AbortSignal;
}

/**
 * Starts it and waits for the event that it listens: it makes its pid file then. Resolves with its pid. Rejects with
 * what it said last, once it has ended.
 */
export async function startServer(
  { program, command, log, readyFile, inherits }: NbdProcess,
  patience: Patience,
): Promise<number> {
  const name = basename(program);
  const ready = awaitFile(readyFile);
  try {
    const server = await start(command, log, inherits);
    await withDeadline(Promise.race([ready.seen, failureOf(server, name, log)]), {
      ...patience,
      onTimeout: () => new CinderfsError('connector_failed', `${name} does not reach the volume in time`),
    }).catch(async (error: unknown) => {
      await kill(server, patience.clock);
      throw error;
    });
    return server.pid;
  } finally {
    ready.stop();
  }
}

/** It may not be the server yet, but what makes its cell: it could not be recognised again. Our child, so the pid is its own. */
async function kill({ pid, ended }: Started, clock: Clock): Promise<void> {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
  await Promise.race([ended, sleep(clock, KILL_MS)]);
}

/** By what one of ours is known among all processes. */
export interface NbdMark {
  readonly program: string;
  /** That no other has. */
  readonly argument: string;
  /** The user it runs as; ours when absent. */
  readonly uid?: number;
}

/** The process `pid`, if it still is the one with one of those marks; else any that has one. */
export async function serversOf(
  marks: readonly NbdMark[],
  pid?: string | number,
): Promise<readonly number[]> {
  if (typeof pid === 'number' && (await hasMark(pid, marks))) return [pid];
  const found = marks.map(({ program, argument, uid }) =>
    findProcesses(basename(program), argument, uid === undefined ? undefined : [uid]),
  );
  return (await Promise.all(found)).flat();
}

async function hasMark(pid: number, marks: readonly NbdMark[]): Promise<boolean> {
  const answers = marks.map(({ program, argument, uid }) =>
    runs(pid, basename(program), argument, uid === undefined ? undefined : [uid]),
  );
  return (await Promise.all(answers)).includes(true);
}

/** Ends all that have one of the marks; each is tried whatever became of the others. */
export async function endServers(
  marks: readonly NbdMark[],
  pid: string | number | undefined,
  clock: Clock,
): Promise<void> {
  const endings = (await serversOf(marks, pid)).map((each) =>
    endProcess(each, clock, () => hasMark(each, marks)),
  );
  const results = await Promise.allSettled(endings);
  const failures = results.flatMap((result) =>
    result.status === 'rejected' ? [result.reason as unknown] : [],
  );
  if (failures.length === 0) return;
  throw new CinderfsError('connector_failed', failures.map(reasonOf).join('; '), {
    cause: new AggregateError(failures),
  });
}

/** Rejects when the server ends: with what it said last, and with the package to install when a driver is missing. */
async function failureOf(server: Started, name: string, log: string): Promise<never> {
  const how = await server.ended;
  const text = await readFile(log, 'utf8').catch(() => '');
  const last = text.trim().split('\n').at(-1) ?? '';
  const said = last.startsWith(`${name}: `) ? last.slice(name.length + 2) : last;
  const driver = /Unknown (?:driver|protocol) '([a-z]+)'/.exec(text)?.[1];
  if (driver !== undefined)
    throw new CinderfsError('connector_missing', `${name} has no block driver for ${driver}`, {
      remedy: 'Install the package qemu-block-extra (Debian) or qemu-kvm-block-' + `${driver} (Red Hat).`,
    });
  throw new CinderfsError('connector_failed', `${name}: ${said === '' ? how : said}`);
}

/** An event for "the file has a whole line"; to be created before its writer starts. */
function awaitFile(path: string): { readonly seen: Promise<void>; readonly stop: () => void } {
  const watcher = watch(dirname(path));
  const seen = new Promise<void>((resolve, reject) => {
    watcher.on('error', reject);
    watcher.on('change', (_event, name) => {
      if (name === basename(path)) void isWritten(path).then((written) => written && resolve());
    });
  });
  return { seen, stop: () => watcher.close() };
}

/** Before that, QEMU still looks whether it is the file that it made. Its maker is not trusted: it may be a pipe. */
async function isWritten(path: string): Promise<boolean> {
  const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(() => undefined);
  try {
    if (file === undefined || !(await file.stat()).isFile()) return false;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(PID_BYTES), 0, PID_BYTES, 0);
    return buffer.subarray(0, bytesRead).includes('\n');
  } catch {
    return false;
  } finally {
    await file?.close();
  }
}
