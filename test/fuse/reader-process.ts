import type { ChildProcessByStdio } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { TestContext } from 'node:test';

const PROGRAM = `
import errno, mmap, os, sys
def call(op, a):
    if op == "open": return os.open(a[0], os.O_RDONLY)
    if op == "pread": return len(os.pread(int(a[0]), int(a[2]), int(a[1])))
    if op == "direct":
        
        f = os.open(a[0], os.O_RDONLY | os.O_DIRECT)
        try: return os.preadv(f, [mmap.mmap(-1, 4096)], 0)
        finally: os.close(f)
    if op == "seek": return os.lseek(int(a[0]), int(a[1]), {"data": os.SEEK_DATA, "hole": os.SEEK_HOLE}[a[2]])
    if op == "xattr": return len(os.getxattr(a[0], a[1]))
    if op == "stat": return os.stat(a[0]).st_size
    if op == "close": os.close(int(a[0])); return 0
for line in sys.stdin:
    op, *a = line.split()
    try: print(call(op, a), flush=True)
    except OSError as e: print(errno.errorcode[e.errno], flush=True)
`;

/**
 * Another process that makes one system call after the other on a mount. Our own must not: a synchronous call on a
 * mount that we serve would wait for itself, and an asynchronous one holds a thread of our pool.
 */
export class ReaderProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string, undefined>;

  constructor(test: TestContext) {
    this.#child = spawn('python3', ['-u', '-c', PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    test.after(() => this.kill());
  }

  /** Makes one call: its result, or the name of its errno ('EIO'). */
  async ask(call: string, ...words: readonly (string | number)[]): Promise<string> {
    this.#child.stdin.write(`${[call, ...words].join(' ')}\n`);
    const line = await this.#lines.next();
    return line.done === true ? 'killed' : line.value;
  }

  get ended(): Promise<unknown> {
    return this.#child.exitCode === null && this.#child.signalCode === null
      ? once(this.#child, 'exit')
      : Promise.resolve();
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.#child.kill(signal);
    await this.ended;
  }
}
