import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { ControlClient } from '../../src/cli/control/control-client.js';
import type { DaemonStatus } from '../../src/ops/status.js';
import { LAUNCHER, run } from '../support/program.js';
import { moment } from '../support/time.js';

export interface HostOptions {
  readonly name: string;
  /** The soak's folder; what is of this host is below `name`. */
  readonly dir: string;
  readonly env: NodeJS.ProcessEnv;
  /** Called when a daemon ends that nobody ended, or logs what must not happen. */
  readonly onViolation: (sentence: string) => void;
}

/** Short times, so that everything the product does late it does within a round. */
const SETTINGS: Readonly<Record<string, string>> = {
  linger: '2s',
  open_timeout: '10s',
  attach_budget: '8s',
  read_timeout: '8s',
  drain_timeout: '2s',
  http_timeout: '5s',
  image_list_ttl: '2s',
  attribute_ttl: '2s',
  // Here a daemon that is killed is dead and its next start heals; test/supervisor kills engines under a supervisor.
  supervise: 'false',
};

/** A hypervisor: `cinderfs mount` as a process of its own, through all its lives. */
export class SoakHost {
  readonly name: string;
  readonly mountpoint: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly #options: HostOptions;
  readonly #log: WriteStream;
  #child: ChildProcess | undefined;
  /** Why the process that runs may end. */
  #mayEnd = false;
  frozen = false;

  private constructor(options: HostOptions) {
    const home = path.join(options.dir, options.name);
    this.name = options.name;
    this.mountpoint = path.join(home, 'images');
    this.stateDir = path.join(home, 'state');
    this.runDir = path.join(home, 'run');
    this.#options = options;
    this.#log = createWriteStream(path.join(options.dir, `${options.name}.log`));
    const settings = Object.entries({ ...SETTINGS, host: options.name });
    this.env = {
      PATH: process.env.PATH,
      CINDERFS_STATE_DIR: this.stateDir,
      CINDERFS_RUN_DIR: this.runDir,
      CINDERFS_LOG_FORMAT: 'json',
      ...Object.fromEntries(settings.map(([key, value]) => [`CINDERFS_${key.toUpperCase()}`, value])),
      ...options.env,
    };
  }

  static async make(options: HostOptions): Promise<SoakHost> {
    await mkdir(path.join(options.dir, options.name, 'images'), { recursive: true });
    return new SoakHost(options);
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** True from READY until the process ends. */
  get serves(): boolean {
    return this.#child !== undefined;
  }

  /** Starts the daemon; false when it ended before READY, as it may while the cloud is out of order. */
  async start(args: readonly string[]): Promise<boolean> {
    this.#mayEnd = false;
    const child = spawn(process.execPath, [LAUNCHER, 'mount', this.mountpoint, ...args], {
      env: this.env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const lines = createInterface({ input: child.stderr });
    const ready = new Promise<boolean>((resolve) => {
      lines.on('line', (line) => {
        this.#heard(line);
        if (line.startsWith('READY ')) resolve(true);
      });
      child.once('exit', () => resolve(false));
    });
    if (!(await ready)) return false;
    this.#child = child;
    child.once('exit', (status, signal) => {
      this.#child = undefined;
      if (!this.#mayEnd) this.#complain(`the daemon ended by itself (${String(status ?? signal)})`);
    });
    return true;
  }

  /** Starts it as often as it takes. */
  async startUntilReady(args: readonly string[], ms = 120_000): Promise<void> {
    const end = performance.now() + ms;
    while (!(await this.start(args))) {
      if (performance.now() > end) {
        this.#complain(`did not start within ${ms} ms although nothing was wrong any more`);
        return;
      }
      await moment(500);
    }
  }

  /** Sends a signal that ends the daemon, and waits for its end. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#mayEnd = true;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }

  /** Unmounts as an operator would; false when it was busy and goes on serving. */
  async umount(command: readonly [string, ...string[]]): Promise<boolean> {
    const child = this.#child;
    if (child === undefined) return false;
    this.#mayEnd = true;
    const gone = once(child, 'exit');
    const { status } = await run(command[0], command.slice(1), this.env);
    if (status === 0) {
      await gone;
      return true;
    }
    this.#mayEnd = false;
    return false;
  }

  /** Stops the process in its tracks for a while: a host that swaps, a VM that is paused. */
  async freeze(ms: number): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.frozen = true;
    child.kill('SIGSTOP');
    await moment(ms);
    child.kill('SIGCONT');
    this.frozen = false;
  }

  /** What the daemon says of itself; undefined when none answers. */
  async status(): Promise<DaemonStatus | undefined> {
    const client = ControlClient.forMountpoint(this.runDir, this.mountpoint);
    return client.get<DaemonStatus>('/status').catch(() => undefined);
  }

  /** Ends whatever is left, for a soak that stops early. */
  async close(): Promise<void> {
    await this.end('SIGKILL');
    await run('umount', ['-l', this.mountpoint]);
    this.#log.end();
  }

  #heard(line: string): void {
    this.#log.write(`${line}\n`);
    if (/\[internal\]|"code":"internal"|uncaught|unhandled/i.test(line)) this.#complain(`logged ${line}`);
  }

  #complain(what: string): void {
    this.#options.onViolation(`${this.name}: ${what}`);
  }
}
