import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ConnectionInfo } from '../../../src/cinder/contract/attachments.js';

const PROGRAM = fileURLToPath(new URL('../../../../test/vm/support/neighbour', import.meta.url));

export interface NeighbourAnswer {
  readonly error?: string;
  readonly sha256?: string;
}

/** nova-compute's stand-in: os-brick in a process of its own. */
export class Neighbour {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: AsyncIterator<string>;

  private constructor(locks: string) {
    this.#child = spawn(PROGRAM, [locks], { stdio: ['pipe', 'pipe', 'inherit'] });
    process.on('exit', () => this.#child.kill('SIGKILL'));
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  static async start(locks: string): Promise<Neighbour> {
    const neighbour = new Neighbour(locks);
    await neighbour.#next();
    return neighbour;
  }

  async ask(verb: 'attach' | 'detach', connection: ConnectionInfo): Promise<NeighbourAnswer> {
    this.#child.stdin.write(`${JSON.stringify({ verb, connection })}\n`);
    return this.#next();
  }

  end(): void {
    this.#child.stdin.end();
  }

  async #next(): Promise<NeighbourAnswer> {
    const next = await this.#answers.next();
    if (next.done === true) throw new Error('the neighbour ended');
    return JSON.parse(next.value) as NeighbourAnswer;
  }
}
