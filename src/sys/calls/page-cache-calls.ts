import { CinderfsError } from '../../errors.js';
import type { Koffi, Library } from './koffi.js';
import { errnoName } from './koffi.js';
import { struct } from './struct.js';

/** Descriptors of a pipe's ends. */
export interface Pipe {
  readonly read: number;
  readonly write: number;
}

/** Reads that leave out a wait or a copy where the page cache has the bytes. */
export interface PageCacheCalls {
  /**
   * Reads what the page cache holds, without waiting for a device (preadv2 with RWF_NOWAIT), into `memory` from `at` on;
   * answers with how many bytes that was. `memory` must not move: WebAssembly's does not.
   */
  cachedReads(memory: Buffer, at: number): (fd: number, offset: number, length: number) => number;
  /** A pipe that holds `bytes`, closed on exec; undefined where this process may not have one so large. */
  openPipe(bytes: number): Pipe | undefined;
  closePipe(pipe: Pipe): void;
  /**
   * Moves `length` bytes of a file from `offset` on into a pipe without copying them; how many that were, -1 when it
   * failed. Waits for the file, never for the pipe.
   */
  spliceIn(fd: number, offset: number, pipe: Pipe, length: number): number;
  /** Gives /dev/fuse the answer that a pipe holds. False: no caller waits for it. Throws CinderfsError `fuse_failed`. */
  spliceOut(pipe: Pipe, fuseFd: number, length: number): boolean;
}

const IOVEC = struct({ base: 'u64', len: 'u64' });
const RWF_NOWAIT = 0x8;
const O_CLOEXEC = 0o2000000;
const F_SETPIPE_SZ = 1031;
const SPLICE_F_NONBLOCK = 0x2;
/** Said of a request whose caller is gone, or by a mount that has ended: no caller waits for the answer. */
const UNWANTED = new Set(['ENOENT', 'ENODEV', 'ENOTCONN', 'ECONNABORTED']);

export function pageCacheCalls(koffi: Koffi, libc: Library): PageCacheCalls {
  return { cachedReads: cachedReadsOf(libc), ...pipeCalls(koffi, libc) };
}

function cachedReadsOf(libc: Library): PageCacheCalls['cachedReads'] {
  const preadv2 = libc.func(
    'int64_t preadv2(int fd, const void *iovec, int count, int64_t offset, int flags)',
  );
  const memcpy = libc.func('uint64_t memcpy(void *to, const void *from, size_t length)');
  return (memory, at) => {
    // A copy of nothing answers with where the memory is.
    const iovec = IOVEC.encode({ base: Number(memcpy(memory, memory, 0)) + at });
    return (fd, offset, length) => {
      iovec.writeUInt32LE(length, IOVEC.offsets.len);
      return Number(preadv2(fd, iovec, 1, offset, RWF_NOWAIT));
    };
  };
}

function pipeCalls(
  koffi: Koffi,
  libc: Library,
): Pick<PageCacheCalls, 'openPipe' | 'closePipe' | 'spliceIn' | 'spliceOut'> {
  const pipe2 = libc.func('int pipe2(_Out_ int *pair, int flags)');
  const fcntl = libc.func('int fcntl(int fd, int command, int argument)');
  const close = libc.func('int close(int fd)');
  const splice = libc.func(
    'int64_t splice(int from, void *fromOffset, int to, void *toOffset, size_t length, unsigned int flags)',
  );
  const at = Buffer.alloc(8);
  const closePipe = ({ read, write }: Pipe): void => [read, write].forEach((end) => void close(end));
  return {
    openPipe(bytes) {
      const pair: [number, number] = [-1, -1];
      if (pipe2(pair, O_CLOEXEC) !== 0) return undefined;
      const pipe = { read: pair[0], write: pair[1] };
      if (Number(fcntl(pipe.write, F_SETPIPE_SZ, bytes)) >= bytes) return pipe;
      closePipe(pipe);
      return undefined;
    },
    closePipe,
    spliceIn(fd, offset, pipe, length) {
      at.writeBigInt64LE(BigInt(offset));
      return Number(splice(fd, at, pipe.write, null, length, SPLICE_F_NONBLOCK));
    },
    spliceOut(pipe, fuseFd, length) {
      if (Number(splice(pipe.read, null, fuseFd, null, length, 0)) === length) return true;
      const reason = errnoName(koffi, koffi.errno());
      if (UNWANTED.has(reason)) return false;
      throw new CinderfsError('fuse_failed', `the kernel refused an answer: ${reason}`);
    },
  };
}
