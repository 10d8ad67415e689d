/** Wires the file system from its parts: what the composition root calls. */
import type { AttachmentPool, Lease } from '../attach/lease.js';
import type { Clock } from '../async/clock.js';
import type { Catalog } from '../cinder/types.js';
import { CinderfsError } from '../errors.js';
import type { Log } from '../log.js';
import type { Ownership } from './attributes.js';
import { openFileReader } from './file-reader.js';
import type { SeekFile } from './file-reader.js';
import { ImageFs } from './image-fs.js';
import { OpenFiles } from './open-files.js';
import { ReaderPool } from './reader-pool.js';
import type { SourceReader } from './reader.js';

export interface ImageFsOptions extends Ownership {
  /** Milliseconds a read may take before its reader gets ETIMEDOUT. */
  readonly readTimeoutMs: number;
  /** Milliseconds a lookup of an unknown name waits for the catalog to look again. */
  readonly lookupTimeoutMs: number;
  /** Threads of libuv's pool that one file or device may hold. */
  readonly slotsPerSource: number;
}

export const DEFAULT_IMAGE_FS_OPTIONS: ImageFsOptions = {
  uid: 0,
  gid: 0,
  fileMode: 0o440,
  readTimeoutMs: 30_000,
  lookupTimeoutMs: 5_000,
  slotsPerSource: defaultSlotsPerSource(),
};

export interface ImageFsDependencies {
  readonly catalog: Catalog;
  readonly pool: AttachmentPool;
  readonly clock: Clock;
  readonly log: Log;
  /** The daemon's status as JSON text, for `/.cinderfs/status`. */
  readonly status: () => string;
  readonly options?: Partial<ImageFsOptions>;
  /** SEEK_DATA / SEEK_HOLE on a path; without it files and devices are all data. */
  readonly seekFile?: SeekFile;
  /** Told of every read that failed. */
  readonly onReadError?: (imageId: string, error: CinderfsError) => void;
}

/** Builds the file system. Call `close()` on it once no transport serves it any more. */
export function createImageFs(dependencies: ImageFsDependencies): ImageFs {
  const { catalog, pool, clock, log, status, seekFile, onReadError } = dependencies;
  const options = { ...DEFAULT_IMAGE_FS_OPTIONS, ...dependencies.options };
  const { readTimeoutMs, lookupTimeoutMs, slotsPerSource } = options;
  const openReader = async ({ source }: Lease, size: number): Promise<SourceReader> => {
    if (source.kind !== 'nbd') return openFileReader(source, { size, slots: slotsPerSource, seekFile });
    throw new CinderfsError('protocol_unsupported', 'NBD sources are not readable yet');
  };
  const readers = new ReaderPool(openReader);
  const files = new OpenFiles({ pool, readers, clock, readTimeoutMs, onReadError });
  return new ImageFs({ catalog, pool, files, status, clock, log, owner: options, lookupTimeoutMs });
}

/** A quarter of libuv's pool (UV_THREADPOOL_SIZE, 4 by default), so that one hung volume cannot take it all (F4). */
function defaultSlotsPerSource(): number {
  const threads = Number(process.env.UV_THREADPOOL_SIZE ?? 4);
  return Math.min(8, Math.max(1, Math.floor(threads / 4)));
}
