import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { CinderfsError } from '../errors.js';
import { controlSocketPath, isControlSocketName } from '../ops/control-socket.js';
import type { ControlFailure } from '../ops/control-server.js';

/** What the end of a mount waits for, as its daemon says. */
export async function waitsOf(client: Pick<ControlClient, 'get'>): Promise<readonly string[]> {
  const { waits_for: lines } = await client.get<{ readonly waits_for: readonly string[] }>('/waits');
  return lines;
}

/** Calls a daemon over its control socket. `not_running` when nobody listens there. */
export class ControlClient {
  readonly #socketPath: string;
  readonly #where: string;

  constructor(socketPath: string, where: string) {
    this.#socketPath = socketPath;
    this.#where = where;
  }

  /** The daemon that serves `mountpoint`, whether it runs or not. */
  static forMountpoint(runDir: string, mountpoint: string): ControlClient {
    return new ControlClient(controlSocketPath(runDir, mountpoint), mountpoint);
  }

  /** Every daemon that ever listened in `runDir`; some may be gone. */
  static async all(runDir: string): Promise<readonly ControlClient[]> {
    const names = await readdir(runDir).catch(() => []);
    return names
      .filter(isControlSocketName)
      .sort()
      .map((name) => new ControlClient(path.join(runDir, name), path.join(runDir, name)));
  }

  get<T>(call: string): Promise<T> {
    return this.#call<T>('GET', call, 10_000);
  }

  /** A call that changes something; it may take as long as a drain. */
  post<T>(call: string): Promise<T> {
    return this.#call<T>('POST', call, 0);
  }

  async #call<T>(method: 'GET' | 'POST', call: string, timeoutMs: number): Promise<T> {
    // Not at the top: a supervisor must not carry what it never uses.
    const { Client } = await import('undici');
    const client = new Client('http://control', {
      socketPath: this.#socketPath,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    });
    try {
      const { statusCode, body } = await client.request({ method, path: call });
      const answer: unknown = await body.json();
      if (statusCode === 200) return answer as T;
      const { error } = answer as ControlFailure;
      throw new CinderfsError(error.code, error.message, { remedy: error.remedy });
    } catch (thrown) {
      throw this.#explain(thrown);
    } finally {
      await client.destroy();
    }
  }

  #explain(thrown: unknown): CinderfsError {
    if (CinderfsError.is(thrown)) return thrown;
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') {
      return new CinderfsError('not_running', `no cinderfs daemon serves ${this.#where}`, { cause: thrown });
    }
    if (code === 'EACCES') {
      return new CinderfsError(
        'not_running',
        `the control socket of ${this.#where} belongs to another user`,
        {
          cause: thrown,
          remedy: 'Run this command as the user that runs the daemon (usually root).',
        },
      );
    }
    const hungUp = code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
    return new CinderfsError(
      hungUp ? 'no_answer' : 'internal',
      `the daemon of ${this.#where} did not answer`,
      { cause: thrown },
    );
  }
}
