/**
 * Reads a regular file or block device at explicit offsets. The host's page cache is its cache: shared by every
 * opener and bounded by the kernel, so nothing is kept here.
 */
import type { FileHandle } from 'node:fs/promises';
import { CinderfsError } from '../../errors.js';
import { type NamedFile, openNamed } from '../../sys/files/beneath.js';
import type { Cursor, SourceReader } from '../contract/reader.js';
import { Slots } from '../../async/slots.js';

/** lseek(2) with SEEK_DATA / SEEK_HOLE on a path, which Node lacks. Answers `size` or more when there is none. */
export type SeekFile = (path: string, offset: number, whence: 'data' | 'hole') => Promise<number>;

export interface FileReaderOptions {
  /** Bytes of the image; the source may be longer. */
  readonly size: number;
  /** Reads of this source at a time, each of which takes a thread of libuv's pool. */
  readonly slots: number;
  /** The threads that all sources together may hold; default: as many as their slots. */
  readonly threads?: Slots | undefined;
  readonly seekFile?: SeekFile | undefined;
}

/** Opens `source` read-only. `read_failed` if it cannot be opened or is shorter than the image. */
export async function openFileReader(source: NamedFile, options: FileReaderOptions): Promise<SourceReader> {
  try {
    const file = await openNamed(source);
    const reader = new FileReader(file, source, options);
    await reader.checkLength().catch((error: unknown) => {
      reader.close();
      throw error;
    });
    return reader;
  } catch (error) {
    throw CinderfsError.from(error, 'read_failed', { path: source.path });
  }
}

/** Errors of a device or mount that went away, as against a sector that cannot be read. */
const DEVICE_GONE = new Set(['ENXIO', 'ENODEV', 'ESTALE', 'ENOTCONN', 'ESHUTDOWN']);

class FileReader implements SourceReader, Cursor {
  readonly #file: FileHandle;
  readonly #source: NamedFile;
  readonly #size: number;
  readonly #slots: Slots;
  readonly #threads: Slots | undefined;
  readonly #seekFile: SeekFile | undefined;
  #closing = false;
  broken = false;

  constructor(file: FileHandle, source: NamedFile, options: FileReaderOptions) {
    this.#file = file;
    this.#source = source;
    this.#size = options.size;
    this.#slots = new Slots(options.slots);
    this.#threads = options.threads;
    this.#seekFile = options.seekFile;
  }

  /** A regular file says its length; a block device shows it only when it is read. */
  async checkLength(): Promise<void> {
    const stat = await this.#file.stat();
    if (stat.isFile() && stat.size < this.#size) throw this.#tooShort(stat.size);
  }

  /** A file has no state per handle: the kernel reads ahead for it. */
  cursor(): Cursor {
    return { read: (offset, length, signal) => this.read(offset, length, signal), close: () => undefined };
  }

  async read(offset: number, length: number, signal: AbortSignal): Promise<Buffer> {
    try {
      return await this.#inThread(() => this.#readFully(offset, length), signal);
    } finally {
      this.#closeWhenIdle();
    }
  }

  async seek(offset: number, whence: 'data' | 'hole', signal: AbortSignal): Promise<number> {
    const seekFile = this.#seekFile;
    // Without a way to ask, the whole file is data: always a legal answer.
    if (seekFile === undefined) return whence === 'data' ? offset : this.#size;
    try {
      const found = await this.#inThread(
        () => seekFile(`/proc/self/fd/${this.#file.fd}`, offset, whence),
        signal,
      );
      return Math.min(found, this.#size);
    } finally {
      this.#closeWhenIdle();
    }
  }

  close(): void {
    this.#closing = true;
    this.#closeWhenIdle();
  }

  #inThread<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const threads = this.#threads;
    return this.#slots.run(threads === undefined ? work : () => threads.run(work, signal), signal);
  }

  async #readFully(offset: number, length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await this.#readSome(buffer, filled, offset + filled);
      // A short answer would be taken for the end of the file and silently truncate the image (A8).
      if (bytesRead === 0) throw this.#tooShort(offset + filled);
      filled += bytesRead;
    }
    return buffer;
  }

  async #readSome(buffer: Buffer, from: number, position: number): Promise<{ bytesRead: number }> {
    try {
      return await this.#file.read(buffer, from, buffer.length - from, position);
    } catch (error) {
      this.broken ||= DEVICE_GONE.has((error as NodeJS.ErrnoException).code ?? '');
      throw CinderfsError.from(error, 'read_failed', { path: this.#source.path });
    }
  }

  #tooShort(end: number): CinderfsError {
    return new CinderfsError(
      'read_failed',
      `${this.#source.path} ends at byte ${end}, the image has ${this.#size}`,
      { path: this.#source.path },
    );
  }

  /** Closed only when idle: a descriptor closed under a running pread could be reused for another volume. */
  #closeWhenIdle(): void {
    if (!this.#closing || this.#slots.running > 0) return;
    this.#closing = false;
    this.#file.close().catch(() => undefined);
  }
}
