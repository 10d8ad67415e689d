import type { FileHandle } from 'node:fs/promises';
import { constants, open } from 'node:fs/promises';
import { CinderfsError, reasonOf } from '../../errors.js';
import type { FileSource, NbdSource, Source } from '../../attach/source.js';
import { systemCode } from './errno.js';
import { systemCalls } from './ioctl.js';
import type { SharedExports } from './shared-exports.js';
import type { SharedHandle } from './shared-handles.js';

/** A source that workers read themselves, shared by every open file of it. */
export interface Descriptor extends Omit<SharedHandle, 'size'> {
  /** The path or the socket, for the log. */
  readonly path: string;
  readonly regular: boolean;
  /** Bytes; 0 where only reading tells. */
  readonly size: number;
}

interface Opened {
  readonly descriptor: Descriptor;
  readonly close: () => void;
}

interface Entry {
  readonly opened: Promise<Opened>;
  holders: number;
}

/** Opens each source once, closes it with its last holder. */
export class Descriptors {
  readonly #exports: SharedExports;
  readonly #entries = new Map<string, Entry>();
  readonly #byDescriptor = new Map<Descriptor, Entry>();

  constructor(exports: SharedExports) {
    this.#exports = exports;
  }

  /**
   * Undefined when workers cannot read that source: an NBD export without koffi, or one too many.
   *
   * @throws CinderfsError `read_failed` when the source cannot be opened.
   */
  async acquire(source: Source): Promise<Descriptor | undefined> {
    const key = keyOf(source);
    // Joining an open that hangs keeps a dead source from taking one pool thread per caller.
    const opened = this.#entries.get(key)?.opened ?? this.#open(source);
    if (opened === undefined) return undefined;
    const entry = this.#entries.get(key) ?? { opened, holders: 0 };
    this.#entries.set(key, entry);
    entry.holders += 1;
    try {
      const { descriptor } = await entry.opened;
      this.#byDescriptor.set(descriptor, entry);
      return descriptor;
    } catch (error) {
      this.#entries.delete(key);
      throw error;
    }
  }

  /** One more hold on a descriptor that somebody holds. */
  hold(descriptor: Descriptor): void {
    const entry = this.#byDescriptor.get(descriptor);
    if (entry !== undefined) entry.holders += 1;
  }

  /** Gives one hold back. */
  release(descriptor: Descriptor): void {
    const entry = this.#byDescriptor.get(descriptor);
    if (entry === undefined) return;
    entry.holders -= 1;
    if (entry.holders > 0) return;
    this.retire(descriptor);
    this.#byDescriptor.delete(descriptor);
    entry.opened.then(({ close }) => close()).catch(() => undefined);
  }

  /** Fenced: whoever opens this path from now on gets a fresh descriptor, for the path may name another volume. */
  retire(descriptor: Descriptor): void {
    const entry = this.#byDescriptor.get(descriptor);
    for (const [key, known] of this.#entries) if (known === entry) this.#entries.delete(key);
  }

  #open(source: Source): Promise<Opened> | undefined {
    if (source.kind !== 'nbd') return openSource(source);
    const place = systemCalls() === undefined ? undefined : this.#exports.publish(source);
    return place === undefined ? undefined : Promise.resolve(this.#exported(source, place));
  }

  #exported({ socket: path }: NbdSource, place: number): Opened {
    return {
      descriptor: { path, fd: -1, cachedFd: -1, direct: false, place, regular: false, size: 0 },
      close: () => this.#exports.withdraw(place).forEach((socket) => systemCalls()?.closeSocket(socket)),
    };
  }
}

async function openSource(source: FileSource): Promise<Opened> {
  const { file, direct } = await openReadOnly(source);
  const stats = await file.stat();
  if (!stats.isFile() && !stats.isBlockDevice()) {
    await file.close();
    throw new CinderfsError('read_failed', `${source.path} is neither a file nor a block device`);
  }
  const cached = direct ? await openCached(source, file) : file;
  return {
    descriptor: {
      path: source.path,
      fd: file.fd,
      cachedFd: cached.fd,
      direct,
      place: 0,
      regular: stats.isFile(),
      size: stats.isFile() ? stats.size : 0,
    },
    // A close that fails or hangs concerns nobody: the descriptors were only read.
    close: () => new Set([file, cached]).forEach((one) => void one.close().catch(() => undefined)),
  };
}

/** O_NONBLOCK: a path that turns out to be a FIFO must not hold a thread until somebody writes to it. */
const READ_ONLY = constants.O_RDONLY | constants.O_NONBLOCK;

async function openReadOnly(source: FileSource): Promise<{ file: FileHandle; direct: boolean }> {
  try {
    if (source.kind === 'device')
      return { file: await open(source.path, READ_ONLY | constants.O_DIRECT), direct: true };
    return { file: await open(source.path, READ_ONLY), direct: false };
  } catch (error) {
    if (source.kind === 'device' && systemCode(error) === 'EINVAL')
      return { file: await open(source.path, READ_ONLY), direct: false };
    throw cannotOpen(source, error);
  }
}

/**
 * The same device through the host's page cache: readers that have the image open O_DIRECT (qemu cache=none) pass by
 * the mount's page cache, and would otherwise each fetch every byte from the volume.
 */
async function openCached(source: FileSource, direct: FileHandle): Promise<FileHandle> {
  try {
    const cached = await open(source.path, READ_ONLY);
    // What an earlier user of this device left in the page cache may be another volume's.
    systemCalls()?.dropCache(cached.fd);
    return cached;
  } catch (error) {
    await direct.close();
    throw cannotOpen(source, error);
  }
}

function cannotOpen({ path }: FileSource, error: unknown): CinderfsError {
  return new CinderfsError('read_failed', `cannot open ${path}: ${reasonOf(error)}`, { cause: error });
}

function keyOf(source: Source): string {
  return source.kind === 'nbd'
    ? `nbd:${source.socket}:${source.exportName}`
    : `${source.kind}:${source.path}`;
}
