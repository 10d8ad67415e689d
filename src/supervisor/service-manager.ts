import { reasonOf } from '../errors.js';
import { systemCalls } from '../sys/calls/system-calls.js';
import type { Log } from '../log.js';

/** What systemd is told of this process (sd_notify(3)). Says nothing where no service manager asks. */
export class ServiceManager {
  /** Milliseconds within which it must hear alive(), again and again; undefined where it does not watch. */
  readonly watchdogMs: number | undefined;
  readonly #socket: string | undefined;
  readonly #log: Log;
  #stopping = false;

  private constructor(env: NodeJS.ProcessEnv, log: Log) {
    this.#socket = env.NOTIFY_SOCKET;
    this.#log = log;
    const micros = Number(env.WATCHDOG_USEC ?? 0);
    const ours = env.WATCHDOG_PID === undefined || Number(env.WATCHDOG_PID) === process.pid;
    this.watchdogMs = this.#socket !== undefined && ours && micros > 0 ? micros / 1000 : undefined;
  }

  /** Takes its variables out of `env`: what this process starts has nothing to say to systemd. */
  static in(env: NodeJS.ProcessEnv, log: Log): ServiceManager {
    const manager = new ServiceManager(env, log);
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) Reflect.deleteProperty(env, name);
    return manager;
  }

  ready(mountpoint: string): void {
    this.#tell(`READY=1\nSTATUS=serving ${mountpoint}`);
  }

  alive(): void {
    this.#tell('WATCHDOG=1');
  }

  /** Idempotent: the mount may be told to end and end by itself. */
  stopping(): void {
    if (!this.#stopping) this.#tell('STOPPING=1\nSTATUS=unmounting');
    this.#stopping = true;
  }

  #tell(state: string): void {
    if (this.#socket === undefined) return;
    try {
      const calls = systemCalls();
      if (calls === undefined) throw new Error('the koffi package is missing');
      calls.sendDatagram(this.#socket, state);
    } catch (error) {
      this.#log.warn({ state, reason: reasonOf(error) }, 'cannot tell the service manager');
    }
  }
}
