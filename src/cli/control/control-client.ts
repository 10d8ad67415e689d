import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { sleep, systemClock } from '../../async/clock.js';
import { CinderfsError } from '../../errors.js';
import { controlSocketPath, isControlSocketName } from '../../ops/control-socket.js';
import { answerIn, failureIn } from './control-answer.js';
import { unreached } from '../../daemon/unreached.js';

/** While a daemon accepts too slowly, the kernel refuses further connections (EAGAIN). */
const CROWDED_MS = 5_000;
const RETRY_MS = 20;

/** Where a daemon was looked for. */
interface Place {
  readonly runDir: string;
  /** Undefined where only its socket is known. */
  readonly mountpoint?: string;
}

/** What the end of a mount waits for, as its daemon says. */
export async function waitsOf(client: Pick<ControlClient, 'get'>): Promise<readonly string[]> {
  const { waits_for: lines } = await client.get<{ readonly waits_for: readonly string[] }>('/waits');
  return lines;
}

/** Milliseconds for a daemon to answer a question, and between two of them while it works. */
const ANSWER_MS = 10_000;
const LOOK_MS = 10_000;
const TIMEOUTS: ReadonlySet<string> = new Set([
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_CONNECT_TIMEOUT',
]);

const HANG_UPS: ReadonlySet<string> = new Set([
  'UND_ERR_SOCKET',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'ECONNRESET',
  'EPIPE',
  'EAGAIN',
]);

/** Whether a daemon took a call and said nothing: it hangs, or is stopped. */
export function isTimeout({ cause }: CinderfsError): boolean {
  return TIMEOUTS.has((cause as NodeJS.ErrnoException | undefined)?.code ?? '');
}

/** Calls a daemon over its control socket. `not_running` when no process listens there. */
export class ControlClient {
  readonly #socketPath: string;
  readonly #place: Place;

  private constructor(socketPath: string, place: Place) {
    this.#socketPath = socketPath;
    this.#place = place;
  }

  /** The daemon that serves `mountpoint` (as fs/mount/mount-name.ts names it), whether it runs or not. */
  static forMountpoint(runDir: string, mountpoint: string): ControlClient {
    return new ControlClient(controlSocketPath(runDir, mountpoint), { runDir, mountpoint });
  }

  /** Every daemon that ever listened in `runDir`; some may be gone. */
  static async all(runDir: string): Promise<readonly ControlClient[]> {
    const names = await readdir(runDir).catch(() => []);
    return names
      .filter(isControlSocketName)
      .sort()
      .map((name) => new ControlClient(path.join(runDir, name), { runDir }));
  }

  get<T>(call: string): Promise<T> {
    return this.#call<T>('GET', call, ANSWER_MS);
  }

  /**
   * A call that changes something; it may take as long as a drain, but not longer than the daemon answers at all:
   * `no_answer` then.
   */
  async post<T>(call: string): Promise<T> {
    const over = new AbortController();
    const work = this.#call<T>('POST', call, 0, over.signal);
    try {
      return await Promise.race([work, this.#hangs(over.signal)]);
    } finally {
      over.abort();
      work.catch(() => undefined);
    }
  }

  /** Rejects when the daemon lives and does not answer; resolves never. */
  async #hangs(over: AbortSignal): Promise<never> {
    for (;;) {
      await this.get('/status').catch((error: unknown) => {
        if (CinderfsError.is(error) && isTimeout(error)) throw error;
      });
      await sleep(systemClock, LOOK_MS, over);
    }
  }

  async #call<T>(
    method: 'GET' | 'POST',
    call: string,
    timeoutMs: number,
    signal: AbortSignal | null = null,
  ): Promise<T> {
    // Not at the top: a supervisor must not carry what it never uses.
    const { Client } = await import('undici');
    const client = new Client('http://control', {
      socketPath: this.#socketPath,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    });
    try {
      const { statusCode, body } = await patiently(() => client.request({ method, path: call, signal }));
      const answer = await answerIn(body);
      if (statusCode === 200 && answer !== undefined) return answer as T;
      throw failureIn(answer) ?? this.#strange();
    } catch (thrown) {
      throw await this.#explain(thrown);
    } finally {
      await client.destroy();
    }
  }

  /** The socket belongs to another program, or to a version with another protocol. */
  #strange(cause?: unknown): CinderfsError {
    return new CinderfsError(
      'no_answer',
      `what listens on ${this.#socketPath} does not answer as cinderfs does`,
      {
        cause,
        remedy: 'See which process listens on that socket (ss -xlp), and its log.',
      },
    );
  }

  async #explain(thrown: unknown): Promise<CinderfsError> {
    if (CinderfsError.is(thrown)) return thrown;
    const code = codeOf(thrown);
    const { runDir, mountpoint } = this.#place;
    const where = mountpoint ?? this.#socketPath;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') {
      if (mountpoint !== undefined) return unreached(runDir, mountpoint, thrown);
      return new CinderfsError('not_running', `no cinderfs daemon listens on ${where}`, { cause: thrown });
    }
    if (code === 'EACCES') {
      return new CinderfsError('not_running', `the control socket of ${where} belongs to another user`, {
        cause: thrown,
        remedy: 'Run this command as the user that runs the daemon (usually root).',
      });
    }
    const hungUp = TIMEOUTS.has(code ?? '') || HANG_UPS.has(code ?? '');
    if (!hungUp && isOfHttp(thrown)) return this.#strange(thrown);
    return new CinderfsError(hungUp ? 'no_answer' : 'internal', `the daemon of ${where} did not answer`, {
      cause: thrown,
    });
  }
}

/** What undici makes of bytes that are no answer to its request. */
function isOfHttp(thrown: unknown): boolean {
  return codeOf(thrown)?.startsWith('UND_ERR_') === true || (thrown as Error).name === 'HTTPParserError';
}

async function patiently<T>(work: () => Promise<T>): Promise<T> {
  const until = systemClock.now() + CROWDED_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (codeOf(error) !== 'EAGAIN' || systemClock.now() >= until) throw error;
      await sleep(systemClock, RETRY_MS);
    }
  }
}

function codeOf(thrown: unknown): string | undefined {
  return (thrown as NodeJS.ErrnoException).code;
}
