import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { DaemonStatus } from '../../src/ops/status.js';

export const LAUNCHER = fileURLToPath(new URL('../../../bin/cinderfs.cjs', import.meta.url));

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs any program to its end; nothing but PATH and `env` in its environment. */
export async function run(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Outcome> {
  const child = spawn(command, args, {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { status, stdout, stderr };
}

/** `cinderfs ARGS`, from the launcher on, as a person runs it. */
export function cinderfs(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return run(process.execPath, [LAUNCHER, ...args], env);
}

export interface MountUser {
  readonly uid: number;
  readonly launcher: string;
}

export interface MountOptions {
  /** Folder for the mount point, the state and the sockets. */
  readonly dir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly args?: readonly string[];
  /** Whoever mounts when it is not root, and the program where that user can read it. */
  readonly user?: MountUser | undefined;
  /** Called with its process the moment READY is read, before anything else runs. */
  readonly onReady?: ((pid: number) => void) | undefined;
  /** Undoes the mount when the test is over. */
  readonly test: { after: (undo: () => Promise<unknown>) => void };
}

/** A `cinderfs mount` in a process of its own. */
export class Mounted {
  readonly mountpoint: string;
  readonly child: ChildProcess;
  readonly env: NodeJS.ProcessEnv;
  /** Everything it has said on stderr. */
  readonly said: string[] = [];

  private constructor(mountpoint: string, child: ChildProcess, env: NodeJS.ProcessEnv) {
    this.mountpoint = mountpoint;
    this.child = child;
    this.env = env;
  }

  /** Resolves at READY; throws with all it said when it ends before. */
  static async start({ dir, env, args = [], user, onReady, test }: MountOptions): Promise<Mounted> {
    const mountpoint = path.join(dir, 'images');
    for (const folder of user === undefined ? ['images'] : ['images', 'state', 'run'])
      await folderFor(path.join(dir, folder), user);
    const settings = {
      PATH: process.env.PATH,
      CINDERFS_STATE_DIR: path.join(dir, 'state'),
      CINDERFS_RUN_DIR: path.join(dir, 'run'),
      CINDERFS_LOG_FORMAT: 'json',
      ...(process.env.CINDERFS_RESEND === undefined ? {} : { CINDERFS_RESEND: process.env.CINDERFS_RESEND }),
      ...env,
    };
    const child = spawn(process.execPath, [user?.launcher ?? LAUNCHER, 'mount', mountpoint, ...args], {
      env: settings,
      cwd: dir,
      ...(user === undefined ? {} : { uid: user.uid, gid: user.uid }),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const mounted = new Mounted(mountpoint, child, settings);
    test.after(() => mounted.stop());
    await mounted.#ready(onReady);
    return mounted;
  }

  async #ready(onReady: (pid: number) => void = () => undefined): Promise<void> {
    const { stderr } = this.child;
    if (stderr === null) throw new Error('stderr is a pipe');
    const lines = createInterface({ input: stderr });
    await new Promise<void>((resolve, reject) => {
      lines.on('line', (line) => {
        this.said.push(line);
        if (!line.startsWith('READY ')) return;
        onReady(this.child.pid ?? 0);
        resolve();
      });
      lines.on('close', () => reject(new Error(`the mount ended before READY:\n${this.said.join('\n')}`)));
    });
  }

  /** A path under the mount point. */
  at(...names: readonly string[]): string {
    return path.join(this.mountpoint, ...names);
  }

  async status(): Promise<DaemonStatus> {
    const { stdout, stderr } = await cinderfs(['status', this.mountpoint, '-f', 'json'], this.env);
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout) as DaemonStatus;
  }

  /** Ends it as systemd would and waits until it is gone; resolves to its exit status. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const gone = once(this.child, 'exit');
      this.child.kill(signal);
      await gone;
    }
    // A daemon that was killed leaves a dead mount; a test must not.
    await run('umount', ['-l', this.mountpoint]);
    return this.child.exitCode;
  }
}

async function folderFor(folder: string, user: MountUser | undefined): Promise<void> {
  // What is there may be a dead mount, which is the program's to heal; if it could not be made, the program says so.
  await mkdir(folder, { recursive: true }).catch(() => undefined);
  if (user !== undefined) await chown(folder, user.uid, user.uid);
}

async function text(stream: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
