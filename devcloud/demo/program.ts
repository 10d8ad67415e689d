import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { CinderfsError } from '../../src/errors.js';

const LAUNCHER = fileURLToPath(new URL('../../../bin/cinderfs.cjs', import.meta.url));

/** Runs `cinderfs ARGS` as a person would, in a process of its own; resolves to what it printed on stdout. */
export async function cinderfs(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  const { stdout } = await execa(process.execPath, [LAUNCHER, ...args], { env, extendEnv: false });
  return stdout;
}

/** `cinderfs mount` in the foreground; resolves at READY. */
export async function startMount(args: readonly string[], env: NodeJS.ProcessEnv): Promise<ChildProcess> {
  const child = spawn(process.execPath, [LAUNCHER, 'mount', ...args], {
    env,
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    if (line.startsWith('READY ')) {
      // No reader is left: drop later log lines instead of filling the pipe.
      child.stderr.resume();
      return child;
    }
    said.push(line);
  }
  throw new CinderfsError('internal', `the mount did not come up: ${said.join(' / ')}`);
}

/** Ends the mount as systemd would and waits until it has detached everything. */
export async function stopMount(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}
