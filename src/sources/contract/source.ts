/**
 * What a kind of source is: the whole contract (ARCHITECTURE.md, "The life of a read"). A kind is a folder of
 * sources/ and one line in registry.ts; nothing else in the program knows kinds apart.
 *
 * It has two halves. The main half (SourceKind) describes a source, opens it for the main thread and publishes it to
 * the worker threads of a mount. The worker half (WorkerSource) reads what was published; it is a module of its own, so
 * that a worker loads no more than it needs.
 */
import type { SourceReader } from './reader.js';
import type { ReaderServices } from './reader-services.js';

/**
 * The data of each kind, by its key: the folder of a kind adds its own by `declare module`. Every member has a `kind`,
 * which is its key, and holds no secret.
 */
export interface SourceTypes {
  /** Nothing: an interface to be added to must have a member. */
  readonly none?: never;
}

/** Where the bytes of an attached volume are read on this host. Every connector yields one. It may be longer than the image. */
export type Source = NonNullable<SourceTypes[keyof SourceTypes]>;

/** Which image is read from a source. */
export interface ImageExtent {
  /** Names the volume's blocks in caches. */
  readonly volume: string;
  /** Bytes of the image; no byte behind it is served. */
  readonly size: number;
}

/** The main half of a kind. */
export interface SourceKind<S extends Source = Source> {
  readonly key: S['kind'];
  /**
   * Whether the host's page cache keeps what is read of it. Where it does, workers also serve readers that pass by the
   * cache of the mount (O_DIRECT). Where it does not, a short read by a worker is made of a whole piece, which is kept
   * for all workers, and O_DIRECT readers are served by the block cache of the main thread.
   */
  readonly pageCached: boolean;
  /**
   * publish() opens the source, so that one which cannot be read fails the open of its file. The main thread's reader is
   * then opened when it is first needed. Otherwise it is opened with the file, to find out.
   */
  readonly publishOpens?: boolean;
  /** The module of the worker half: its `onWorker` is an OpenOnWorker. */
  readonly workerModule: URL;
  /** In one word-like string, for logs and `cinderfs status`. */
  describe(source: S): string;
  /** Equal for two sources if and only if they are the same bytes, reached the same way. */
  identify(source: S): string;
  /**
   * Opens it on the main thread, which reads what no worker does. A read of that reader is exact or an error.
   *
   * @throws CinderfsError `read_failed`, also when the source is shorter than the image.
   */
  openReader(source: S, image: ImageExtent, services: ReaderServices): Promise<SourceReader>;
  /** Whether the main thread's reader cannot confirm by itself whose bytes it read: its lease must (Lease.prove). */
  needsProof?(source: S): boolean;
  /** The end of one mount that has up to `workers` threads. */
  publisher(workers: number): SourcePublisher<S>;
}

/** Gives sources of one kind to the workers of one mount. Main thread only. */
export interface SourcePublisher<S extends Source = Source> {
  /** What the worker half is given to find them; undefined where the slot says it all. */
  readonly memory?: SharedArrayBuffer;
  /**
   * Opens `source` for the workers; undefined where they cannot read it (a library is missing, there are too many).
   *
   * @throws CinderfsError `read_failed` when it cannot be opened.
   */
  publish(source: S): Promise<PublishedSource | undefined>;
  /** A worker is still in a read of `slot` that was given up: frees it, where something can. */
  interrupt?(slot: number, worker: number): void;
  /** The thread of that worker has ended, in the middle of whatever it did. */
  vacate?(worker: number): void;
  /** The worker half called `tell`. */
  heard?(message: number): void;
}

/** A source that workers can read until it is closed. */
export interface PublishedSource {
  /** An int32 by which the worker half finds it. It names nothing else before close(). */
  readonly slot: number;
  /** Bytes, where that is known without reading. */
  readonly size?: number | undefined;
  /** A descriptor that the kernel may read in place of this process (passthrough), from its begin to its end. */
  readonly passthroughFd?: number | undefined;
  /**
   * Next data or hole at or after `offset`, as lseek(2): Infinity where there is none, undefined where only the reader
   * can tell.
   */
  seek?(offset: number, whence: Whence): Promise<number | undefined>;
  /** Lets go of the storage at once: what is read from now on is not the volume's. The slot stays taken, for a worker may be about to read. */
  fence?(): void;
  /** No file is open on it any more. Never fails, waits for nothing; a worker may still be inside a read that was given up. */
  close(): void;
}

export type Whence = 'data' | 'hole';

/** The worker half of a kind, in one worker thread. It may block. */
export interface WorkerSource {
  /**
   * Reads exactly [offset, offset + length) into the context's memory, from DATA_AT on or up to a piece behind it, and
   * returns where the first byte is. What it returns is confirmed to be the volume's. `uncached`: the reader has the
   * file open O_DIRECT.
   *
   * @throws any Error when it failed, ended early (never a short answer) or could not be confirmed. The main thread
   * then tries.
   */
  read(slot: number, offset: number, length: number, uncached: boolean): number;
  /** A descriptor whose page cache has the bytes and needs no confirmation, so that they can be spliced; -1: none. */
  spliceFd?(slot: number): number;
  /** As PublishedSource.seek, at once. Left out where asking takes more than a moment. */
  seek?(slot: number, offset: number, whence: Whence): number | undefined;
}

/** What the worker half works with. */
export interface WorkerContext {
  /** That of the publisher. */
  readonly shared: SharedArrayBuffer | undefined;
  /** Which worker this is, and how many there may be. */
  readonly worker: number;
  readonly workers: number;
  /** Page-aligned, never moves; the bytes before DATA_AT may be overwritten, behind the longest read two pieces are free. */
  readonly memory: Buffer;
  /** Reaches SourcePublisher.heard. */
  readonly tell: (message: number) => void;
}

export type OpenOnWorker = (context: WorkerContext) => WorkerSource;

/** What the module of a worker half exports. */
export interface WorkerModule {
  readonly onWorker: OpenOnWorker;
}
