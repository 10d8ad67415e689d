/** Wires the file system from its parts: what the composition root calls. */
import type { AttachmentPool } from '../attach/contract/lease.js';
import type { Clock } from '../async/clock.js';
import { Slots } from '../async/slots.js';
import type { Catalog, CatalogImage, CatalogSnapshot } from '../cinder/contract/catalog.js';
import type { CinderfsError } from '../errors.js';
import type { Log } from '../log.js';
import type { Ownership } from './tree/attributes.js';
import { BlockCache } from '../sources/cache/block-cache.js';
import { ImageFs } from './image-fs.js';
import { OpenFiles } from './open-files.js';
import { ReaderPool } from '../sources/reader-pool.js';
import { sourceKinds } from '../sources/registry.js';
import type { SourceKinds } from '../sources/source-kinds.js';

export interface ImageFsOptions extends Ownership {
  /** Milliseconds a read may take before its reader gets ETIMEDOUT. */
  readonly readTimeoutMs: number;
  /** Milliseconds a lookup of an unknown name waits for the catalog to look again. */
  readonly lookupTimeoutMs: number;
  /** Threads of libuv's pool that one file or device may hold. */
  readonly slotsPerSource: number;
  /** Bytes of the block cache, requests in flight included: the memory that image data takes in this process. */
  readonly cacheBytes: number;
  /** Bytes to read ahead of a sequential reader at most; 0 for none. */
  readonly readAheadBytes: number;
}

export const DEFAULT_IMAGE_FS_OPTIONS: ImageFsOptions = {
  uid: 0,
  gid: 0,
  fileMode: 0o440,
  openListing: false,
  readTimeoutMs: 30_000,
  lookupTimeoutMs: 5_000,
  slotsPerSource: defaultSlotsPerSource(),
  cacheBytes: 256 << 20,
  readAheadBytes: 16 << 20,
};

/** A multiple of every read size FUSE has (128 KiB to 1 MiB). */
const BLOCK_BYTES = 1 << 20;
/** Missing neighbours are asked for together up to this: large enough to be cheap, small enough to use all connections. */
const REQUEST_BYTES = 2 << 20;

export interface ImageFsDependencies {
  readonly catalog: Catalog;
  readonly pool: AttachmentPool;
  readonly clock: Clock;
  readonly log: Log;
  /** The daemon's status as JSON text, for `/.cinderfs/status`. */
  readonly status: () => string;
  readonly options?: Partial<ImageFsOptions>;
  /** The kinds of source of this process; default: those of the registry, without what the process has open. */
  readonly sources?: SourceKinds | undefined;
  /** Told of every read that failed. */
  readonly onReadError?: (imageId: string, error: CinderfsError) => void;
}

/** Builds the file system. Call `close()` on it once no transport serves it any more. */
export function createImageFs(dependencies: ImageFsDependencies): ImageFs {
  const { catalog, pool, clock, log, status, sources = sourceKinds(), onReadError } = dependencies;
  const options = { ...DEFAULT_IMAGE_FS_OPTIONS, ...dependencies.options };
  const { readTimeoutMs, lookupTimeoutMs, slotsPerSource, readAheadBytes } = options;
  const cache = new BlockCache({
    bytes: options.cacheBytes,
    blockSize: BLOCK_BYTES,
    requestBytes: REQUEST_BYTES,
  });
  const services = {
    clock,
    requestMs: readTimeoutMs,
    cache,
    readAheadBytes,
    slotsPerSource,
    threads: new Slots(threadsForReads()),
  };
  const readers = new ReaderPool((source, image) => sources.openReader(source, image, services));
  const distrust = (volume: string): void => cache.purge(volume);
  const files = new OpenFiles({ pool, readers, sources, clock, readTimeoutMs, onReadError, distrust });
  const onClose = catalog.onChange((now, before) => changedVolumes(before, now).forEach(distrust));
  return new ImageFs({ catalog, pool, files, status, clock, log, owner: options, lookupTimeoutMs, onClose });
}

/** Volumes whose image is gone or not the same any more: what was cached of them proves nothing. */
function changedVolumes(before: CatalogSnapshot, now: CatalogSnapshot): string[] {
  const same = (a: CatalogImage, b: CatalogImage | undefined): boolean =>
    a.volumeId === b?.volumeId && a.size === b.size && a.hashValue === b.hashValue;
  return [...before.images.values()]
    .filter((image) => !same(image, now.images.get(image.id)))
    .map(({ volumeId }) => volumeId);
}

/** All sources together leave a quarter of libuv's pool to DNS, the journal and token renewal. */
function threadsForReads(): number {
  const threads = Number(process.env.UV_THREADPOOL_SIZE ?? 4);
  return Math.max(1, threads - Math.ceil(threads / 4));
}

/** A quarter of libuv's pool (UV_THREADPOOL_SIZE, 4 by default), so that one hung volume cannot take it all (F4). */
export function defaultSlotsPerSource(): number {
  const threads = Number(process.env.UV_THREADPOOL_SIZE ?? 4);
  return Math.min(8, Math.max(1, Math.floor(threads / 4)));
}
