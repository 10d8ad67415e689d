import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { CinderfsError, reasonOf } from '../../errors.js';
import type { NamedFile } from '../../sys/files/beneath.js';
import { openNamed } from '../../sys/files/beneath.js';
import { seekFileWith, systemCalls } from '../../sys/calls/system-calls.js';
import type { ReaderServices } from '../contract/reader-services.js';
import type { SourceReader } from '../contract/reader.js';
import type { ImageExtent, PublishedSource, SourceKind, SourcePublisher } from '../contract/source.js';
import { openFileReader } from './file-reader.js';

/** A regular file, opened O_RDONLY by each reader; see sys/beneath.ts. */
export interface FileSource extends NamedFile {
  readonly kind: 'file';
}

declare module '../contract/source.js' {
  interface SourceTypes {
    readonly file: FileSource;
  }
}

/** Its slot is the descriptor: every thread of the process has it. */
export const fileSource: SourceKind<FileSource> = {
  key: 'file',
  pageCached: true,
  publishOpens: true,
  workerModule: new URL('./file-on-worker.js', import.meta.url),
  describe: ({ path }) => `file:${path}`,
  identify: ({ inode, path }) => `${inode ?? ''}:${path}`,
  openReader: openFile,
  publisher: (): SourcePublisher<FileSource> => ({ publish }),
};

/** The reader of the main thread: of a file, or of a device through the host's page cache. */
export function openFile(
  file: NamedFile,
  { size }: ImageExtent,
  { slotsPerSource: slots, threads }: Pick<ReaderServices, 'slotsPerSource' | 'threads'>,
): Promise<SourceReader> {
  return openFileReader(file, { size, slots, threads, seekFile: seekFileWith(systemCalls()) });
}

/** O_NONBLOCK: a path that turns out to be a FIFO must not hold a thread until something writes to it. */
export const READ_ONLY = constants.O_RDONLY | constants.O_NONBLOCK;

/** @throws CinderfsError `read_failed`. */
export async function openForWorkers(file: NamedFile, flags = READ_ONLY): Promise<FileHandle> {
  try {
    return await openNamed(file, flags);
  } catch (error) {
    throw cannotOpen(file, error);
  }
}

export function cannotOpen({ path }: NamedFile, cause: unknown): CinderfsError {
  return new CinderfsError('read_failed', `cannot open ${path}: ${reasonOf(cause)}`, { path, cause });
}

async function publish(source: FileSource): Promise<PublishedSource> {
  const file = await openForWorkers(source);
  try {
    const stats = await file.stat();
    if (!stats.isFile() && !stats.isBlockDevice())
      throw new CinderfsError('read_failed', `${source.path} is neither a file nor a block device`);
    return published(file, stats.isFile() ? stats.size : undefined);
  } catch (error) {
    closeQuietly(file);
    throw CinderfsError.from(error, 'read_failed', { path: source.path });
  }
}

function published(file: FileHandle, size: number | undefined): PublishedSource {
  const { fd } = file;
  return {
    slot: fd,
    size,
    passthroughFd: size === undefined ? undefined : fd,
    seek: async (offset, whence) => systemCalls()?.seek(fd, offset, whence),
    fence: () => systemCalls()?.replaceWithDevNull(fd),
    close: () => closeQuietly(file),
  };
}

/** A close that fails or hangs has no consequence: the file was only read. */
export function closeQuietly(file: FileHandle): void {
  file.close().catch(() => undefined);
}
