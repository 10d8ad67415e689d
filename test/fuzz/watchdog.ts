import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

const LOOK_MS = 1_000;
/** A run that blocks its thread for so long is taken for one without end. */
const HANGS_MS = 30_000;
const MOST_BYTES = 128 * 1024;
const [COUNT, LENGTH, HEAD_BYTES] = [0, 1, 8];

interface Shared {
  readonly memory: SharedArrayBuffer;
  readonly finding: string;
}

/** Looks from another thread whether runs end. The input of one that does not is written to a file, and the process killed. */
export class Watchdog {
  readonly #thread: Worker;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(finding: string) {
    const memory = new SharedArrayBuffer(HEAD_BYTES + MOST_BYTES);
    this.#words = new Int32Array(memory, 0, 2);
    this.#bytes = new Uint8Array(memory, HEAD_BYTES);
    const workerData: Shared = { memory, finding };
    this.#thread = new Worker(fileURLToPath(import.meta.url), { workerData });
    this.#thread.unref();
  }

  /** A run begins. */
  begins(input: Buffer): void {
    this.#bytes.set(input.subarray(0, MOST_BYTES));
    this.#words[LENGTH] = input.length + 1;
    Atomics.add(this.#words, COUNT, 1);
  }

  /** It ended. */
  ended(): void {
    this.#words[LENGTH] = 0;
    Atomics.add(this.#words, COUNT, 1);
  }

  async stop(): Promise<void> {
    await this.#thread.terminate();
  }
}

function watch({ memory, finding }: Shared): void {
  const words = new Int32Array(memory, 0, 2);
  let [seen, since] = [-1, performance.now()];
  setInterval(() => {
    const now = Atomics.load(words, COUNT);
    if (now !== seen) [seen, since] = [now, performance.now()];
    const length = Atomics.load(words, LENGTH);
    if (length === 0 || performance.now() - since < HANGS_MS) return;
    mkdirSync(path.dirname(finding), { recursive: true });
    writeFileSync(finding, Buffer.from(memory, HEAD_BYTES, length - 1));
    writeFileSync(2, `fuzz: no end within ${HANGS_MS / 1000} s: ${finding}\n`);
    process.kill(process.pid, 'SIGKILL');
  }, LOOK_MS);
}

if (!isMainThread) watch(workerData as Shared);
