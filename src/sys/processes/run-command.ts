/** The only door to execa: how this layer runs other programs. */
import { access, constants } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type * as Execa from 'execa';
import type { Clock } from '../../async/clock.js';
import { CinderfsError, reasonOf } from '../../errors.js';
import { knownSecrets } from '../../known-secrets.js';
import { childEnvironment, programFolders } from '../child-environment.js';

export interface Command {
  /** A name to look up, or an absolute path. */
  readonly program: string;
  /** Never holds a secret: every user of the machine can read it. */
  readonly args: readonly string[];
  /** The package to name when the program is missing. */
  readonly package: string;
}

export interface RunOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** On its stdin: the place for a secret. */
  readonly input?: string | undefined;
}

/** A program that goes on running: in a process group of its own, so that Ctrl-C on the daemon does not reach it. */
export interface Started {
  readonly pid: number;
  /** Settles when it has ended, with why in one line. Never rejects. */
  readonly ended: Promise<string>;
}

/** Runs a command to its end; answers with its stdout. `connector_failed` with one line: command, why, last stderr line. */
export async function run(command: Command, options: RunOptions): Promise<string> {
  const path = await lookUp(command);
  const { execa } = await loadExeca();
  const child = execa(path, command.args, {
    ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
    reject: false,
    detached: true,
    timeout: options.timeoutMs,
    forceKillAfterDelay: 1_000,
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
    env: childEnvironment(),
    extendEnv: false,
  });
  const result = await child;
  if (!result.failed) return result.stdout;
  killGroup(child.pid);
  throw new CinderfsError('connector_failed', `${command.program} failed: ${whyOf(result)}`, {
    cause: result,
  });
}

/** The descriptor of a started command that it inherits from us, by the name under which it can open it. */
export const INHERITED = '/proc/self/fd/3';

/**
 * Starts a command that goes on running, its stderr in the file `stderr`. It outlives this process. `inherits`: a
 * descriptor of ours, which it has as INHERITED.
 */
export async function start(command: Command, stderr: string, inherits?: number): Promise<Started> {
  const path = await lookUp(command);
  const { execa } = await loadExeca();
  const child = execa(path, command.args, {
    // The types of execa know descriptors up to 9; its code hands every number to spawn().
    stdio: ['ignore', 'ignore', { file: stderr }, ...(inherits === undefined ? [] : [inherits as 3])],
    buffer: false,
    reject: false,
    detached: true,
    cleanup: false,
    env: childEnvironment(),
    extendEnv: false,
  });
  child.unref();
  const { pid } = child;
  if (pid === undefined)
    throw new CinderfsError('connector_failed', `${command.program} failed: ${whyOf(await child)}`);
  return { pid, ended: child.then(whyOf, reasonOf) };
}

export interface HoldOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** One line on its stdin, which stays open. */
  readonly input: string;
  /** The line that it says once it holds; any other first line is a refusal, after which it ends. */
  readonly held: string;
}

/**
 * Starts a command that says a line once it holds something, and lets go of it when its stdin ends: with the answer, or
 * with this process. Resolves with what ends it. Rejects, as run() does, when it refuses, and when it says nothing in
 * time.
 */
export async function hold(command: Command, options: HoldOptions): Promise<() => Promise<void>> {
  const path = await lookUp(command);
  const { execa } = await loadExeca();
  const child = execa(path, command.args, {
    stdin: 'pipe',
    reject: false,
    detached: true,
    env: childEnvironment(),
    extendEnv: false,
  });
  const stop = options.clock.after(options.timeoutMs, () => killGroup(child.pid));
  child.stdin.on('error', () => undefined);
  child.stdin.write(`${options.input}\n`);
  const line = await Promise.race([firstLine(child.stdout), child.then(() => undefined)]);
  const refused = line === options.held ? undefined : await child;
  stop();
  if (refused !== undefined)
    throw new CinderfsError('connector_failed', `${command.program} failed: ${whyOf(refused)}`, {
      cause: refused,
    });
  return async () => {
    child.stdin.end();
    await child;
  };
}

/** Reads on after it, so that what is said later does not fill the pipe. */
function firstLine(stream: Readable): Promise<string> {
  return new Promise((resolve) => createInterface({ input: stream }).once('line', resolve));
}

/** When a program is first run: many mounts never run one, and the package takes 8 MiB. */
function loadExeca(): Promise<typeof Execa> {
  return import('execa');
}

/** The absolute path of the program; `connector_missing`, naming the package, when it is not installed. */
export async function lookUp({ program, package: name }: Command): Promise<string> {
  const candidates = isAbsolute(program)
    ? [program]
    : programFolders().map((folder) => join(folder, program));
  for (const path of candidates) if (await executable(path)) return path;
  throw new CinderfsError('connector_missing', `${program} is not installed`, {
    remedy: `Install the package ${name}.`,
  });
}

async function executable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

interface Ended {
  readonly timedOut?: boolean;
  readonly isCanceled?: boolean;
  readonly signal?: string | undefined;
  readonly exitCode?: number | undefined;
  readonly stderr?: unknown;
  readonly originalMessage?: string | undefined;
}

function whyOf(ended: Ended): string {
  const last = typeof ended.stderr === 'string' ? ended.stderr.trim().split('\n').at(-1) : undefined;
  const detail = last === undefined || last === '' ? '' : `: ${knownSecrets.hide(last)}`;
  if (ended.timedOut === true) return `it did not end in time${detail}`;
  if (ended.isCanceled === true) return 'it was cancelled';
  if (ended.signal !== undefined) return `killed by ${ended.signal}${detail}`;
  if (ended.exitCode !== undefined) return `exit status ${ended.exitCode}${detail}`;
  return ended.originalMessage ?? 'it could not be started';
}

/** A timeout ends the program; what the program started ends with its group. */
function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing is left of the group.
  }
}
