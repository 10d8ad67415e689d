import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';

/** Takes the lock file of its first argument as os-brick's own library does (oslo.concurrency is a thin layer over it). */
export const FASTENERS = `
import fasteners, sys
lock = fasteners.InterProcessLock(sys.argv[1])
print('held' if lock.acquire(timeout=float(sys.argv[2])) else 'refused', flush=True)
sys.stdin.read()
`;

/** A process that holds, or was refused, a lock; it lets go at the end of its stdin. */
export class Contender {
  readonly said: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, said: string) {
    this.#child = child;
    this.said = said;
  }

  static async start(test: TestContext, code: string, ...args: readonly string[]): Promise<Contender> {
    const child = spawn('/usr/bin/python3', ['-c', code, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    test.after(() => child.kill('SIGKILL'));
    const [said] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    return new Contender(child, said);
  }

  async end(signal?: NodeJS.Signals): Promise<void> {
    const gone = once(this.#child, 'exit');
    if (signal === undefined) this.#child.stdin?.end();
    else this.#child.kill(signal);
    await gone;
  }
}
