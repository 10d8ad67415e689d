import type { SourceKinds } from '../../sources/source-kinds.js';
import type { Log } from '../../log.js';
import type { Filesystem } from './filesystem.js';

/** How open files are served, for `cinderfs status`. */
export interface ServedFile {
  readonly handle: number;
  /** By a worker thread, by the kernel alone, or by the main thread: `read`, or the kind of a source that this process caches itself. */
  readonly how: string;
}

export interface TransportOptions {
  readonly mountpoint: string;
  /** Shown as the source of the mount; a name like /dev/fuse would make systemd unmount it (bazil/fuse#89). */
  readonly fsname: string;
  readonly allowOther: boolean;
  /** Milliseconds a read may take before its reader gets ETIMEDOUT. */
  readonly readTimeoutMs: number;
  /** Milliseconds an open may take before its caller gets ETIMEDOUT. */
  readonly openTimeoutMs: number;
  /** Files and directories that one user may have open, where the transport knows the caller; absent: any number. */
  readonly handlesPerUser?: number | undefined;
  /** Seconds the kernel may keep names and attributes. */
  readonly attributeTtlSeconds: number;
  /** Cache budget for chunks around short reads (NBD, RBD), in bytes; absent: none. */
  readonly pieceBytes?: number;
  /** Whether the kernel may read a backing file by itself, where it can. */
  readonly passthrough: boolean;
  /** The kinds of source of this process; default: those of the registry, without what the process has open. */
  readonly sources?: SourceKinds | undefined;
  readonly log: Log;
}

export interface UnmountOptions {
  readonly lazy?: boolean;
  readonly abort?: boolean;
}

/** A mounted file system. */
export interface MountedTransport {
  /**
   * Settles when the kernel has let go of the mount, however that came about (umount(8), abort, unmount()); rejects when
   * this process cannot serve it any more, which has yet to be unmounted then.
   */
  readonly ended: Promise<void>;
  served(): readonly ServedFile[];
  /** Opens that it could answer by itself, of files that are open already, are the file system's to answer from here on. */
  askForOpens?(): void;
  /** Goes on after another process was about to take the mount over and did not. */
  resume?(): void;
  /**
   * Unmounts, refusing with `holders` when busy. `lazy` detaches the mount point and serves open files until they are
   * done; `abort` hides it and cuts them off (ENOTCONN), so that `ended` settles at once.
   */
  unmount(options?: UnmountOptions): Promise<void>;
}

/** Mounts `filesystem`; resolves when the kernel has accepted the mount. Nothing is left behind on failure. */
export type MountTransport = (filesystem: Filesystem, options: TransportOptions) => Promise<MountedTransport>;
