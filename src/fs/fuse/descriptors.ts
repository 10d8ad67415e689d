import type { FileHandle } from 'node:fs/promises';
import { constants, open } from 'node:fs/promises';
import { CinderfsError, reasonOf } from '../../errors.js';
import type { FileSource } from '../../attach/source.js';
import { systemCode } from './errno.js';

/** A source that workers read by descriptor, shared by every open file of it. */
export interface Descriptor {
  readonly path: string;
  readonly fd: number;
  /** Opened O_DIRECT: saves a copy and keeps a device out of the host's page cache (design section 3). */
  readonly direct: boolean;
  readonly regular: boolean;
  /** Bytes; 0 for a block device. */
  readonly size: number;
}

interface Entry {
  readonly opened: Promise<{ file: FileHandle; descriptor: Descriptor }>;
  holders: number;
}

/** Opens each source once, closes it with its last holder. */
export class Descriptors {
  readonly #entries = new Map<string, Entry>();
  readonly #byDescriptor = new Map<Descriptor, Entry>();

  /** @throws CinderfsError `read_failed` when the source cannot be opened. */
  async acquire(source: FileSource): Promise<Descriptor> {
    const key = `${source.kind}:${source.path}`;
    // Joining an open that hangs keeps a dead source from taking one pool thread per caller.
    const entry = this.#entries.get(key) ?? { opened: openSource(source), holders: 0 };
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
    // A close that fails or hangs concerns nobody: the descriptor was only read.
    entry.opened.then(({ file }) => file.close()).catch(() => undefined);
  }

  /** Fenced: whoever opens this path from now on gets a fresh descriptor, for the path may name another volume. */
  retire(descriptor: Descriptor): void {
    const entry = this.#byDescriptor.get(descriptor);
    for (const [key, known] of this.#entries) if (known === entry) this.#entries.delete(key);
  }
}

async function openSource(source: FileSource): Promise<{ file: FileHandle; descriptor: Descriptor }> {
  const { file, direct } = await openReadOnly(source);
  const stats = await file.stat();
  if (!stats.isFile() && !stats.isBlockDevice()) {
    await file.close();
    throw new CinderfsError('read_failed', `${source.path} is neither a file nor a block device`);
  }
  const descriptor = {
    path: source.path,
    fd: file.fd,
    direct,
    regular: stats.isFile(),
    size: stats.isFile() ? stats.size : 0,
  };
  return { file, descriptor };
}

/** O_NONBLOCK: a path that turns out to be a FIFO must not hold a thread until somebody writes to it. */
async function openReadOnly(source: FileSource): Promise<{ file: FileHandle; direct: boolean }> {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  try {
    if (source.kind === 'device')
      return { file: await open(source.path, flags | constants.O_DIRECT), direct: true };
    return { file: await open(source.path, flags), direct: false };
  } catch (error) {
    if (source.kind === 'device' && systemCode(error) === 'EINVAL')
      return { file: await open(source.path, flags), direct: false };
    throw new CinderfsError('read_failed', `cannot open ${source.path}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
