/**
 * The file system that transports serve: plain async TypeScript that throws CinderfsError and knows nothing of FUSE.
 * ImageFs is the implementation. A node id is a positive integer below 2^52, derived from what the node names
 * (so that a new process derives it again); ROOT_NODE is the mount point.
 */
import type { Source } from '../../sources/contract/source.js';
import type { CinderfsError } from '../../errors.js';

export const ROOT_NODE = 1;

export type NodeKind = 'file' | 'directory' | 'symlink';

/** stat(2), as far as this file system has it. Times in milliseconds since the epoch. */
export interface Attributes {
  readonly node: number;
  readonly kind: NodeKind;
  /** Permission bits only, e.g. 0o440. */
  readonly permissions: number;
  /** Bytes: of the image, of the symlink's target; 0 for directories. */
  readonly size: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly modifiedMs: number;
  readonly changedMs: number;
  /** They may be others at every look: the kernel must not keep them, for readers stop at the size. */
  readonly volatile?: boolean | undefined;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly attributes: Attributes;
}

/**
 * statvfs(3). Nothing of it is taken from this host, so everything counts as free: a disk alarm must not go off because
 * a cloud has images. Writing is refused with EROFS whatever is free.
 */
export interface FilesystemStats {
  readonly blockSize: number;
  /** What the images would take if they were here. */
  readonly blocks: number;
  readonly files: number;
  readonly nameMax: number;
}

export interface CallContext {
  /** Aborts when the caller gave up (FUSE INTERRUPT). */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds that the caller has waited already: they count for the deadline of a read. */
  readonly waitedMs?: number | undefined;
  /** The user of the caller; undefined where it is not known. */
  readonly uid?: number | undefined;
  /** Of open(): the caller opens and reads `source` itself, so that the file system need not before it is asked to read. */
  readonly readsItself?: boolean | undefined;
}

/** An open file. Valid from open() to release(); its number is never reused while the process lives. */
export interface OpenFile {
  readonly handle: number;
  readonly node: number;
  /** Bytes; fixed for the life of the handle. */
  readonly size: number;
  /**
   * Where a transport may read the bytes itself, up to `size` and never beyond; undefined when only read() serves
   * them (virtual files).
   */
  readonly source: Source | undefined;
  /** Which of the connections that `source` has led to was made last: what was opened through an earlier one is stale. */
  readonly connection?: number | undefined;
  /** Aborts when the bytes must not be served any more; `reason` is the CinderfsError every later read gets. */
  readonly fenced: AbortSignal;
  /** What reopen() of a later process needs; undefined where the file system cannot open it again. */
  readonly memo?: FileMemo | undefined;
}

/** An open file in words that outlive the process: plain JSON, opaque to transports. */
export type FileMemo = Readonly<Record<string, unknown>>;

export interface Filesystem {
  /**
   * The child of directory `parent` called `name`; `image_not_found` if there is none. Never attaches. `.` is the node
   * itself, whatever it is, and `..` its directory: so the kernel finds a node that it has forgotten.
   */
  lookup(parent: number, name: string, context?: CallContext): Promise<Attributes>;
  /** Never attaches, never waits on the network. */
  getattr(node: number): Promise<Attributes>;
  /** All entries but `.` and `..`, in a stable order. Never attaches, never waits on the network. */
  readdir(node: number): Promise<readonly DirectoryEntry[]>;
  readlink(node: number): Promise<string>;
  /** Opens for reading, attaching the volume when it is not attached. `flags` are open(2)'s; any write is `read_only`. */
  open(node: number, flags: number, context?: CallContext): Promise<OpenFile>;
  /**
   * Opens the file that an earlier process had open, as it was then: the same bytes, size and attributes, whatever the
   * catalog says now. Takes its lease before it waits for anything.
   */
  reopen?(memo: FileMemo): Promise<OpenFile>;
  /**
   * Exactly the bytes [offset, min(offset + length, size)): an empty buffer at or beyond the end. A failure is an
   * error, never a short answer.
   */
  read(handle: number, offset: number, length: number, context?: CallContext): Promise<Buffer>;
  /** Next data or hole at or after `offset`, as lseek(2) SEEK_DATA / SEEK_HOLE; `ENXIO` beyond the end. */
  seek(handle: number, offset: number, whence: 'data' | 'hole', context?: CallContext): Promise<number>;
  /**
   * A transport that reads the source by itself tells of a read that failed there, or of a source that it could not open
   * (`read_failed`): the next opener gets a new attachment.
   */
  readFailed(handle: number, error: CinderfsError): void;
  /** Gives the handle back. Never fails, never waits for the detach. */
  release(handle: number): void;
  getxattr(node: number, name: string): Promise<Buffer>;
  listxattr(node: number): Promise<readonly string[]>;
  statfs(): Promise<FilesystemStats>;
  /** Calls `listener` for entries that must leave the kernel's caches (an image disappeared or changed). */
  onInvalidate(listener: (entry: InvalidatedEntry) => void): () => void;
}

export interface InvalidatedEntry {
  readonly parent: number;
  readonly name: string;
  readonly node: number;
}
