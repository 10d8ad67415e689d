import type { FileHandle } from 'node:fs/promises';
import { constants } from 'node:fs';
import { CinderfsError, reasonOf } from '../../../errors.js';
import type { FileSource, NbdSource, RbdSource, Source } from '../../../sources/source.js';
import { rbdName } from '../../../ceph/address.js';
import type { RbdImages } from '../../../ceph/rbd-images.js';
import { openNamed } from '../../../sys/files/beneath.js';
import { systemCode } from '../protocol/errno.js';
import { systemCalls } from '../../../sys/calls/system-calls.js';
import type { SharedExports } from '../shared/shared-exports.js';
import type { SharedHandle } from '../shared/shared-handles.js';
import type { SharedImages } from '../shared/shared-images.js';

/** A source that workers read themselves, shared by every open file of it. */
export interface Descriptor extends Omit<SharedHandle, 'size'> {
  /** The path, the socket or the image's name, for the log. */
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
  readonly opened: Promise<Opened | undefined>;
  holders: number;
}

/** Opens each source once, closes it with its last holder. */
export class Descriptors {
  readonly #exports: SharedExports;
  readonly #images: SharedImages;
  readonly #rbdImages: RbdImages | undefined;
  readonly #entries = new Map<string, Entry>();
  readonly #byDescriptor = new Map<Descriptor, Entry>();
  #sources = 0;

  constructor(exports: SharedExports, images: SharedImages, rbdImages: RbdImages | undefined) {
    this.#exports = exports;
    this.#images = images;
    this.#rbdImages = rbdImages;
  }

  /**
   * What `source` leads to now; `connection` counts the connections it has led to. Undefined when workers cannot read
   * it: an NBD export, or a device that has to be asked, without koffi; or an export or image too many.
   *
   * @throws CinderfsError `read_failed` when the source cannot be opened.
   */
  async acquire(source: Source, connection = 0): Promise<Descriptor | undefined> {
    const key = `${connection}:${keyOf(source)}`;
    // Joining an open that hangs keeps a dead source from taking one pool thread per caller.
    const entry = this.#entries.get(key) ?? { opened: this.#open(source), holders: 0 };
    this.#entries.set(key, entry);
    entry.holders += 1;
    let descriptor: Descriptor | undefined;
    try {
      descriptor = (await entry.opened)?.descriptor;
      if (descriptor !== undefined) this.#byDescriptor.set(descriptor, entry);
      return descriptor;
    } finally {
      if (descriptor === undefined && this.#entries.get(key) === entry) this.#entries.delete(key);
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
    this.#forget(entry);
    this.#byDescriptor.delete(descriptor);
    entry.opened.then((opened) => opened?.close()).catch(() => undefined);
  }

  /**
   * Fenced: whoever opens this path from now on gets a fresh descriptor, for the path may name another volume. What
   * it was open on is let go of at once, for while it is open it cannot be detached; its number stays taken until its
   * files are closed, for a worker may be about to read from it.
   */
  fence(descriptor: Descriptor): void {
    this.#forget(this.#byDescriptor.get(descriptor));
    for (const fd of new Set([descriptor.fd, descriptor.cachedFd]))
      if (fd !== -1) systemCalls()?.pointAtNothing(fd);
  }

  #forget(entry: Entry | undefined): void {
    for (const [key, known] of this.#entries) if (known === entry) this.#entries.delete(key);
  }

  async #open(source: Source): Promise<Opened | undefined> {
    if (source.kind === 'rbd') return this.#openImage(source);
    if (source.kind !== 'nbd')
      return source.says !== undefined && systemCalls() === undefined ? undefined : openSource(source);
    const place = systemCalls() === undefined ? undefined : this.#exports.publish(source);
    return place === undefined ? undefined : this.#exported(source, place);
  }

  #exported({ socket: path }: NbdSource, place: number): Opened {
    return {
      descriptor: { ...NO_FILE, path, place, source: (this.#sources += 1) },
      close: () => this.#exports.withdraw(place).forEach((socket) => systemCalls()?.closeSocket(socket)),
    };
  }

  /** The claim is ours until no worker is inside a read of the image. */
  async #openImage({ address, id }: RbdSource): Promise<Opened | undefined> {
    const claim = await this.#rbdImages?.share(address, id);
    const image = claim === undefined ? undefined : this.#images.publish(claim.image.pointer);
    if (claim === undefined || image === undefined) {
      claim?.release();
      return undefined;
    }
    return {
      descriptor: { ...NO_FILE, path: rbdName(address), image, source: (this.#sources += 1) },
      close: () => this.#images.withdraw(image, () => claim.release()),
    };
  }
}

const NO_FILE = {
  fd: -1,
  cachedFd: -1,
  direct: false,
  place: 0,
  image: 0,
  source: 0,
  says: undefined,
  regular: false,
  size: 0,
};

async function openSource(source: FileSource): Promise<Opened> {
  const { file, direct } = await openReadOnly(source);
  const stats = await file.stat().catch(async (error: unknown) => {
    await file.close();
    throw cannotOpen(source, error);
  });
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
      image: 0,
      source: 0,
      says: source.says === undefined ? undefined : Buffer.from(source.says, 'hex'),
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
      return { file: await openNamed(source, READ_ONLY | constants.O_DIRECT), direct: true };
    return { file: await openNamed(source, READ_ONLY), direct: false };
  } catch (error) {
    if (source.kind === 'device' && systemCode(error) === 'EINVAL')
      return { file: await openNamed(source, READ_ONLY), direct: false };
    throw cannotOpen(source, error);
  }
}

/**
 * The same device through the host's page cache: readers that have the image open O_DIRECT (qemu cache=none) pass by
 * the mount's page cache, and would otherwise each fetch every byte from the volume.
 */
async function openCached(source: FileSource, direct: FileHandle): Promise<FileHandle> {
  try {
    const cached = await openNamed(source, READ_ONLY);
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
  switch (source.kind) {
    case 'nbd':
      return `nbd:${source.socket}:${source.exportName}`;
    case 'rbd':
      return `rbd:${source.id}:${JSON.stringify(source.address)}`;
    default:
      return `${source.kind}:${source.inode ?? ''}:${source.path}`;
  }
}
