/** Translates: libfuse's paths, buffers and errnos on one side, the file system's nodes, bytes and errors on the other. */
import type { Clock } from '../../async/clock.js';
import { withDeadline } from '../../async/deadline.js';
import { CinderfsError } from '../../errors.js';
import type { Errno } from '../../errors.js';
import { errnoNumber } from './errno.js';
import type { Attributes, Filesystem, OpenFile } from '../contract/filesystem.js';
import type { TransportOptions } from '../contract/transport.js';
import type { BufferAnswer, NativeOperations } from './binding.js';
import { OpenTable } from './open-table.js';
import { resolvePath } from './paths.js';
import { replyOnce } from './reply-once.js';
import { nativeStat } from './stat.js';

/** Everything but open and read is answered from memory, or waits for one refresh of the catalog. */
const METADATA_TIMEOUT_MS = 10_000;

/** One request on its way to its one answer. */
interface Call<T> {
  readonly what: string;
  readonly ms: number;
  readonly work: () => Promise<T>;
  /** Hands the result over: called once, with undefined and a negative errno when the work failed. */
  readonly reply: (result: number, value?: T) => void;
  /** Owns a result that came after the deadline had answered. */
  readonly onLate?: (value: T) => void;
}

export class NativeAdapter {
  readonly #filesystem: Filesystem;
  readonly #options: TransportOptions;
  readonly #clock: Clock;
  readonly #open = new OpenTable();

  constructor(filesystem: Filesystem, options: TransportOptions, clock: Clock) {
    this.#filesystem = filesystem;
    this.#options = options;
    this.#clock = clock;
  }

  /** Open files; each holds a lease. */
  openFiles(): readonly OpenFile[] {
    return this.#open.files();
  }

  /** Gives back what the kernel will never release: the connection is gone. */
  releaseAll(): void {
    for (const file of this.#open.files()) this.#filesystem.release(file.handle);
  }

  /** The operations for the binding. What is missing answers ENOSYS, and writing is refused by `writes`. */
  operations(): NativeOperations {
    return {
      getattr: (path, answer) => this.#metadata(`stat ${path}`, () => this.#stat(path), nativeStat, answer),
      fgetattr: (path, _fd, answer) =>
        this.#metadata(`stat ${path}`, () => this.#stat(path), nativeStat, answer),
      readdir: (path, answer) =>
        this.#metadata(
          `list ${path}`,
          async () => this.#filesystem.readdir(await this.#node(path)),
          (entries) => ['.', '..', ...entries.map(({ name }) => name)],
          answer,
        ),
      readlink: (path, answer) =>
        this.#metadata(
          `readlink ${path}`,
          async () => this.#filesystem.readlink(await this.#node(path)),
          (target) => target,
          answer,
        ),
      statfs: (_path, answer) =>
        this.#metadata(
          'statfs',
          () => this.#filesystem.statfs(),
          ({ blockSize, blocks, files, nameMax }) => ({
            bsize: blockSize,
            frsize: blockSize,
            blocks,
            bfree: blocks,
            bavail: blocks,
            files,
            ffree: files,
            namemax: nameMax,
          }),
          answer,
        ),
      open: (path, flags, answer) => this.#openFile(path, flags, answer),
      read: (path, fd, buffer, length, position, answer) =>
        this.#read(path, fd, buffer.subarray(0, length), position, answer),
      release: (_path, fd, answer) => {
        const file = this.#open.take(fd);
        if (file !== undefined) this.#filesystem.release(file.handle);
        answer(0);
      },
    };
  }

  /** In place of the binding's own: the size of the kernel's buffer decides (ERANGE), 0 asks for the size. */
  getxattr(path: string, name: string, buffer: Buffer, answer: BufferAnswer): void {
    const work = async (): Promise<Buffer> => this.#filesystem.getxattr(await this.#node(path), name);
    this.#fillBuffer(`getxattr ${path}`, work, buffer, answer);
  }

  listxattr(path: string, buffer: Buffer, answer: BufferAnswer): void {
    const work = async (): Promise<Buffer> => {
      const names = await this.#filesystem.listxattr(await this.#node(path));
      return Buffer.from(names.map((name) => `${name}\0`).join(''));
    };
    this.#fillBuffer(`listxattr ${path}`, work, buffer, answer);
  }

  #openFile(path: string, flags: number, answer: (error: number, fd?: number) => void): void {
    this.#serve<OpenFile>({
      what: `open ${path}`,
      ms: this.#options.openTimeoutMs,
      work: async () => this.#filesystem.open(await this.#node(path), flags),
      // The kernel was told that the open failed and will send no release: it is ours to send (F1).
      onLate: (file) => this.#filesystem.release(file.handle),
      reply: (result, file) => (file === undefined ? answer(result) : answer(0, this.#open.add(path, file))),
    });
  }

  #read(path: string, fd: number, buffer: Buffer, position: number, answer: (result: number) => void): void {
    const file = this.#open.get(fd);
    this.#serve<Buffer>({
      what: `read ${path}`,
      // The file system has this deadline itself; ours is the backstop that keeps the invariant.
      ms: this.#options.readTimeoutMs + 1000,
      work: async () => {
        if (file === undefined) throw new CinderfsError('bad_handle', `${path} is not open as ${fd}`);
        return this.#filesystem.read(file.handle, position, buffer.length);
      },
      // Only the answer may touch `buffer`: it is libfuse's memory, and gone once answered.
      reply: (result, bytes) => answer(bytes === undefined ? result : bytes.copy(buffer)),
    });
  }

  #fillBuffer(what: string, work: () => Promise<Buffer>, buffer: Buffer, answer: BufferAnswer): void {
    this.#serve<Buffer>({
      what,
      ms: METADATA_TIMEOUT_MS,
      work,
      reply: (result, value) => {
        answer(value === undefined ? result : fill(buffer, value), buffer.buffer);
      },
    });
  }

  #metadata<T, N>(
    what: string,
    work: () => Promise<T>,
    translate: (value: T) => N,
    answer: (error: number, value?: N) => void,
  ): void {
    this.#serve<N>({
      what,
      ms: METADATA_TIMEOUT_MS,
      work: async () => translate(await work()),
      reply: (result, value) => (value === undefined ? answer(result) : answer(0, value)),
    });
  }

  /** Answers exactly once: with the result, the error, or ETIMEDOUT at the deadline, whichever is first. */
  #serve<T>({ what, ms, work, reply, onLate }: Call<T>): void {
    const answer = replyOnce<[T?]>(reply);
    const onTimeout = (): CinderfsError =>
      new CinderfsError('read_timeout', `${what} was not answered within ${ms} ms`);
    const started = Promise.resolve().then(work);
    withDeadline(started, { clock: this.#clock, ms, onTimeout, ...(onLate === undefined ? {} : { onLate }) })
      .then((value) => answer(0, value))
      .catch((error: unknown) => {
        const failure = CinderfsError.from(error, 'internal');
        if (answer(negative(failure.errno))) this.#report(what, failure);
      });
  }

  #report(what: string, error: CinderfsError): void {
    const { level } = error.kind;
    this.#options.log[level]({ op: what, code: error.code, errno: error.errno }, error.toLine());
  }

  async #node(path: string): Promise<number> {
    return (await this.#stat(path)).node;
  }

  async #stat(path: string): Promise<Attributes> {
    try {
      return await resolvePath(this.#filesystem, path);
    } catch (error) {
      const open = this.#open.findByPath(path);
      if (open === undefined) throw error;
      return this.#filesystem.getattr(open.node);
    }
  }
}

/** What getxattr(2) answers: the size, or ERANGE when the value does not fit; a buffer of no size asks for the size. */
function fill(buffer: Buffer, value: Buffer): number {
  const fits = value.copy(buffer) === value.length;
  return fits || buffer.length === 0 ? value.length : negative('ERANGE');
}

function negative(errno: Errno): number {
  return -errnoNumber(errno);
}
