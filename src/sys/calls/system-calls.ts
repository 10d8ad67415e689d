import { closeSync, openSync } from 'node:fs';
import { constants, open } from 'node:fs/promises';
import { CinderfsError } from '../../errors.js';
import type { Koffi, Library } from './koffi.js';
import { errnoName, loadKoffi } from './koffi.js';
import { type DeviceCalls, deviceCalls } from './device-calls.js';
import { type DatagramCalls, datagramCalls } from './datagram-calls.js';
import { type PageCacheCalls, pageCacheCalls } from './page-cache-calls.js';
import { struct } from './struct.js';

/**
 * System calls that Node lacks, through koffi. It is optional: without it there is no passthrough, no native hole
 * search, no mounting as an ordinary user and no memory that outlives the process; everything else works.
 */
export interface SystemCalls extends DatagramCalls, DeviceCalls, PageCacheCalls {
  /** Registers a file the kernel may read itself; the backing id. */
  openBacking(fuseFd: number, fd: number): number;
  closeBacking(fuseFd: number, backingId: number): void;
  /** A fork makes the pages of a process read-only until it writes to them; not those of `memory`, which begins at one. */
  keepFromForks(memory: Buffer): void;
  /** Drops what the page cache holds of a block device (BLKFLSBUF), as far as this process may. */
  dropCache(fd: number): void;
  /** Makes a descriptor one of /dev/null: what it was open on is let go of as soon as no read of it is under way. */
  replaceWithDevNull(fd: number): void;
  /**
   * lseek(2) SEEK_DATA / SEEK_HOLE, on a pool thread: Infinity when there is none, undefined where the file cannot
   * tell (block devices).
   */
  seek(fd: number, offset: number, whence: 'data' | 'hole'): Promise<number | undefined>;
  /** The same at once, for a thread that may block. */
  seekSync(fd: number, offset: number, whence: 'data' | 'hole'): number | undefined;
  /**
   * Maps the first `bytes` of a file, shared with every process that maps it and for the life of this one; where.
   * Throws CinderfsError `fuse_failed`.
   */
  mapShared(fd: number, bytes: number): bigint;
  /** Gives memory that malloc keeps though it is free back to the system, on a pool thread. Never rejects. */
  trimHeap(): Promise<void>;
  /** What mapShared mapped at `address`, for any thread. */
  memoryAt(address: bigint, bytes: number): Buffer;
  /** Two connected stream sockets, closed on exec. */
  socketPair(): readonly [number, number];
  /** A blocking stream socket connected to `path`, closed on exec. Throws CinderfsError `fuse_failed`. */
  connectUnix(path: string): number;
  /** Closes such a socket. Not fs.closeSync, which warns of descriptors that Node has not opened itself. */
  closeSocket(socket: number): void;
  /** Ends both directions of a socket: a blocked call on it returns. */
  shutdown(socket: number): void;
  /**
   * The descriptor that came over a unix socket (SCM_RIGHTS); undefined when none did. Does not wait. `leave` takes a
   * copy, so that another process that has the socket can receive it, too.
   */
  receiveDescriptor(socket: number, options: { readonly leave: boolean }): number | undefined;
}

/** _IOW(229, 1, struct fuse_backing_map) and _IOW(229, 2, uint32_t). */
const FUSE_DEV_IOC_BACKING_OPEN = 0x4010e501;
const FUSE_DEV_IOC_BACKING_CLOSE = 0x4004e502;
const MADV_DONTFORK = 10;
/** _IO(0x12, 97). */
const BLKFLSBUF = 0x1261;
const BACKING_MAP = struct({ fd: 'i32', flags: 'u32', padding: 'u64' });
const BACKING_ID = struct({ backing_id: 'u32' });
const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 0o2000001;
const MSG_DONTWAIT_CMSG_CLOEXEC = 0x40000040;
const MSG_PEEK = 0x2;
/** A cmsghdr that carries one descriptor, and the space the kernel rounds it up to. */
const CMSG = struct({ len: 'u64', level: 'i32', type: 'i32', fd: 'i32' }, 24);
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
/** sockaddr_un; `path` is where its 108 bytes begin. */
const SOCKADDR_UN = struct({ family: 'u16', path: 'u16' }, 110);
const PATH_ROOM = 108;
const SHUT_RDWR = 2;
const O_CLOEXEC = 0o2000000;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const WHENCE = { data: 3, hole: 4 } as const;

let loaded: SystemCalls | null | undefined;

/** The system calls, or undefined where koffi is not installed. Loads it at the first call. */
export function systemCalls(): SystemCalls | undefined {
  loaded ??= load();
  return loaded ?? undefined;
}

function load(): SystemCalls | null {
  const koffi = loadKoffi();
  if (koffi === undefined) return null;
  const libc = koffi.load('libc.so.6');
  const ioctl = libc.func('int ioctl(int fd, unsigned long request, void *argument)');
  const dup3 = libc.func('int dup3(int from, int to, int flags)');
  const madvise = libc.func('int madvise(void *memory, size_t length, int advice)');
  const lseek = libc.func('int64_t lseek64(int fd, int64_t offset, int whence)');
  const call = (what: string, fd: number, request: number, argument: Buffer): number => {
    const result = Number(ioctl(fd, request, argument));
    if (result >= 0) return result;
    throw new CinderfsError('fuse_failed', `${what}: ${errnoName(koffi, koffi.errno())}`);
  };
  return {
    openBacking(fuseFd, fd) {
      return call('FUSE_DEV_IOC_BACKING_OPEN', fuseFd, FUSE_DEV_IOC_BACKING_OPEN, BACKING_MAP.encode({ fd }));
    },
    closeBacking(fuseFd, backingId) {
      const id = BACKING_ID.encode({ backing_id: backingId });
      call('FUSE_DEV_IOC_BACKING_CLOSE', fuseFd, FUSE_DEV_IOC_BACKING_CLOSE, id);
    },
    replaceWithDevNull: (fd) => {
      const nothing = openSync('/dev/null', 'r');
      dup3(nothing, fd, O_CLOEXEC);
      closeSync(nothing);
    },
    keepFromForks: (memory) => void madvise(memory, memory.length, MADV_DONTFORK),
    dropCache: (fd) => void ioctl(fd, BLKFLSBUF, null),
    ...socketCalls(koffi, libc),
    ...pageCacheCalls(koffi, libc),
    ...deviceCalls(koffi, libc),
    ...memoryCalls(koffi, libc),
    ...datagramCalls(koffi, libc),
    seekSync: (fd, offset, whence) => sought(koffi, lseek(fd, offset, WHENCE[whence])),
    seek: (fd, offset, whence) =>
      new Promise((resolve) => {
        lseek.async(fd, offset, WHENCE[whence], (error: unknown, result: number | bigint) => {
          resolve(sought(koffi, error === null ? result : -1));
        });
      }),
  };
}

/** lseek's result: Infinity when there is neither data nor hole, undefined where the file cannot tell. */
function sought(koffi: Koffi, result: number | bigint): number | undefined {
  if (result >= 0) return Number(result);
  return errnoName(koffi, koffi.errno()) === 'ENXIO' ? Infinity : undefined;
}

function memoryCalls(koffi: Koffi, libc: Library): Pick<SystemCalls, 'mapShared' | 'memoryAt' | 'trimHeap'> {
  const mmap = libc.func(
    'int64_t mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)',
  );
  const trim = libc.func('int malloc_trim(size_t pad)');
  return {
    mapShared(fd, bytes) {
      const address = BigInt(mmap(null, bytes, PROT_READ_WRITE, MAP_SHARED, fd, 0));
      if (address > 0n) return address;
      throw new CinderfsError('fuse_failed', `mmap: ${errnoName(koffi, koffi.errno())}`);
    },
    trimHeap: () => new Promise((resolve) => trim.async(0, () => resolve())),
    memoryAt: (address, bytes) => Buffer.from(koffi.view(address, bytes)),
  };
}

/** What it takes to be sent a descriptor. */
function socketCalls(
  koffi: Koffi,
  libc: Library,
): Pick<SystemCalls, 'socketPair' | 'receiveDescriptor' | 'connectUnix' | 'closeSocket' | 'shutdown'> {
  koffi.struct('iovec', { iov_base: 'void *', iov_len: 'size_t' });
  koffi.struct('msghdr', {
    msg_name: 'void *',
    msg_namelen: 'uint32_t',
    msg_iov: 'iovec *',
    msg_iovlen: 'size_t',
    msg_control: 'void *',
    msg_controllen: 'size_t',
    msg_flags: 'int',
  });
  const socketpair = libc.func('int socketpair(int domain, int type, int protocol, _Out_ int *pair)');
  const openSocket = libc.func('int socket(int domain, int type, int protocol)');
  const connect = libc.func('int connect(int fd, const void *address, uint32_t length)');
  const close = libc.func('int close(int fd)');
  const shutdown = libc.func('int shutdown(int fd, int how)');
  const recvmsg = libc.func('int64_t recvmsg(int fd, _Inout_ msghdr *message, int flags)');
  return {
    socketPair() {
      const pair: [number, number] = [-1, -1];
      if (socketpair(AF_UNIX, SOCK_STREAM_CLOEXEC, 0, pair) === 0) return pair;
      throw new CinderfsError('fuse_failed', `socketpair: ${errnoName(koffi, koffi.errno())}`);
    },
    connectUnix(path) {
      const socket = Number(openSocket(AF_UNIX, SOCK_STREAM_CLOEXEC, 0));
      const address = SOCKADDR_UN.encode({ family: AF_UNIX });
      const used = address.write(path, SOCKADDR_UN.offsets.path);
      if (socket >= 0 && used < PATH_ROOM && Number(connect(socket, address, address.length)) === 0)
        return socket;
      const reason = used < PATH_ROOM ? errnoName(koffi, koffi.errno()) : 'the path is too long';
      if (socket >= 0) close(socket);
      throw new CinderfsError('fuse_failed', `cannot connect to ${path}: ${reason}`);
    },
    closeSocket: (socket) => void close(socket),
    shutdown(socket) {
      shutdown(socket, SHUT_RDWR);
    },
    receiveDescriptor(socket, { leave }) {
      const control = Buffer.alloc(CMSG.size);
      const message = {
        msg_name: null,
        msg_namelen: 0,
        msg_iov: { iov_base: Buffer.alloc(1), iov_len: 1 },
        msg_iovlen: 1,
        msg_control: control,
        msg_controllen: control.length,
        msg_flags: 0,
      };
      if (Number(recvmsg(socket, message, MSG_DONTWAIT_CMSG_CLOEXEC | (leave ? MSG_PEEK : 0))) < 1)
        return undefined;
      const { level, type, fd } = CMSG.decode(control);
      return level === SOL_SOCKET && type === SCM_RIGHTS ? fd : undefined;
    },
  };
}

/** `SeekFile` of the file reader: lseek(2) on a path. Undefined without koffi. */
export function seekFileWith(
  calls: SystemCalls | undefined,
): ((path: string, offset: number, whence: 'data' | 'hole') => Promise<number>) | undefined {
  if (calls === undefined) return undefined;
  return async (path, offset, whence) => {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      // What cannot tell (a block device) is all data.
      return (await calls.seek(file.fd, offset, whence)) ?? (whence === 'data' ? offset : Infinity);
    } finally {
      await file.close();
    }
  };
}
