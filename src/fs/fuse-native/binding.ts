/** The one door to the fuse-native package, typed by us: it is unmaintained, and a swap must cost one file (F9). */
import { createRequire } from 'node:module';
import { CinderfsError, reasonOf } from '../../errors.js';

/** stat(2) as the binding takes it. Times in milliseconds. */
export interface NativeStat {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly nlink: number;
  readonly ino: number;
  readonly blksize: number;
  readonly blocks: number;
  readonly atime: number;
  readonly mtime: number;
  readonly ctime: number;
}

export interface NativeStatfs {
  readonly bsize: number;
  readonly frsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
  readonly namemax: number;
}

export type BufferAnswer = (result: number, memory: ArrayBufferLike) => void;

type Answer<T> = (error: number, value?: T) => void;

/** The operations that we offer, extended attributes apart. Each answers by its callback: 0 or a negative errno first. */
export interface NativeOperations {
  getattr(path: string, answer: Answer<NativeStat>): void;
  /** Never called (the binding calls getattr), but its presence makes fstat(2) work. */
  fgetattr(path: string, fd: number, answer: Answer<NativeStat>): void;
  readdir(path: string, answer: Answer<readonly string[]>): void;
  readlink(path: string, answer: Answer<string>): void;
  open(path: string, flags: number, answer: Answer<number>): void;
  read(
    path: string,
    fd: number,
    buffer: Buffer,
    length: number,
    position: number,
    answer: (result: number, bytesRead?: number) => void,
  ): void;
  release(path: string, fd: number, answer: (error: number) => void): void;
  statfs(path: string, answer: Answer<NativeStatfs>): void;
}

/** What mounts. Options are joined with commas, unchecked, so that `fsname` can carry the ones it lacks (F7). */
export interface NativeFuse {
  /**
   * Hooks of the binding, called in place of operations that forget how large the kernel's buffer is: a longer answer
   * would make libfuse send heap memory. `answer` takes the result and the buffer's memory, which is theirs again.
   */
  _op_getxattr(answer: BufferAnswer, path: string, name: string, buffer: Buffer): void;
  _op_listxattr(answer: BufferAnswer, path: string, buffer: Buffer): void;
  mount(done: (error: Error | null) => void): void;
  unmount(done: (error: Error | null) => void): void;
}

export interface NativeFuseConstructor {
  new (mountpoint: string, operations: object, options: Readonly<Record<string, unknown>>): NativeFuse;
  unmount: (mountpoint: string, done: (error: Error | null) => void) => void;
}

/** Loads the binding. `fuse_missing` says which package is not installed. */
export function loadBinding(): NativeFuseConstructor {
  try {
    const Fuse = createRequire(import.meta.url)('fuse-native') as NativeFuseConstructor;
    // Its own unmount is always lazy and wants libfuse 2's fusermount (F7). We take the mount down ourselves before
    // we ask it to let go, so that nothing is left for it to do.
    Fuse.unmount = (_mountpoint, done) => done(null);
    return Fuse;
  } catch (error) {
    throw missing(error);
  }
}

function missing(error: unknown): CinderfsError {
  const reason = reasonOf(error);
  const library = reason.includes('libfuse.so.2');
  return new CinderfsError(
    'fuse_missing',
    library
      ? 'fuse-native needs libfuse.so.2, which is not installed'
      : `fuse-native cannot be loaded: ${reason}`,
    {
      cause: error,
      remedy: library
        ? 'Install the Debian package libfuse2, or use our own engine (--fuse=engine).'
        : 'Install it (`npm install fuse-native`; it does not come with cinderfs), or use our own engine (--fuse=engine).',
    },
  );
}
