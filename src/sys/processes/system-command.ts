import { spawn, type StdioOptions } from 'node:child_process';
import { systemClock } from '../../async/clock.js';
import { withDeadline } from '../../async/deadline.js';
import { CinderfsError, reasonOf } from '../../errors.js';
import { childEnvironment } from '../child-environment.js';

export interface SystemCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly timeoutMs: number;
  /** What it has as its descriptors 3, 4, ... */
  readonly descriptors?: readonly number[];
  /** Beyond what every program has that we start. */
  readonly environment?: Readonly<Record<string, string>>;
}

/**
 * Runs a command of the system, as mount(8), to its end. Without execa (run-command.ts): every mount runs one of these,
 * and the package takes 8 MiB. At the deadline the command is killed and not waited for: a process that waits for a file
 * system in the kernel does not end.
 *
 * @throws CinderfsError `fuse_failed` with what the command wrote to stderr, when it fails, is missing or does not end.
 */
export async function runSystemCommand(command: SystemCommand): Promise<void> {
  const { program, args, timeoutMs: ms, descriptors = [], environment = {} } = command;
  const stdio: StdioOptions = ['ignore', 'ignore', 'pipe', ...descriptors];
  const child = spawn(program, args, { stdio, env: { ...childEnvironment(), ...environment } });
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const failure = new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(isMissing(error) ? 'is not installed' : reasonOf(error)));
    child.once('close', (status, signal) =>
      resolve(status === 0 ? undefined : `failed (${status ?? signal}): ${complaint.trim()}`),
    );
  });
  const onTimeout = (): CinderfsError => {
    child.kill('SIGKILL');
    child.stderr?.destroy();
    child.unref();
    return new CinderfsError('fuse_failed', `${program} ${args.join(' ')} does not end`);
  };
  const why = await withDeadline(failure, { clock: systemClock, ms, onTimeout });
  if (why !== undefined) throw new CinderfsError('fuse_failed', `${program} ${why}`);
}

function isMissing(error: Error): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}
