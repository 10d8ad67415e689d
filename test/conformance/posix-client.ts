import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../../../test/conformance/posix-client.py', import.meta.url));

/** A failed system call, by its errno name. */
export class PosixError extends Error {
  override readonly name = 'PosixError';
  readonly code: string;

  constructor(code: string, what: string) {
    super(`${what}: ${code}`);
    this.code = code;
  }
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly errno?: string;
  readonly bug?: string;
}

/** A process that makes system calls for a test (posix-client.py), several at a time. */
export class PosixClient {
  readonly #child = spawn('python3', [SCRIPT], { stdio: ['pipe', 'pipe', 'inherit'] });
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #last = 0;

  constructor() {
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const answer = JSON.parse(line) as Answer;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
  }

  async call<T>(op: string, ...args: readonly unknown[]): Promise<T> {
    const id = (this.#last += 1);
    const answer = await new Promise<Answer>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child.stdin.write(`${JSON.stringify({ id, op, args })}\n`);
    });
    if (answer.bug !== undefined) throw new Error(answer.bug);
    if (answer.errno !== undefined) throw new PosixError(answer.errno, op);
    return answer.value as T;
  }

  async bytes(op: string, ...args: readonly unknown[]): Promise<Buffer> {
    return Buffer.from(await this.call<string>(op, ...args), 'base64');
  }

  /** Ends the process; calls that hang end with it. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }
}
