/** The numbers of linux/fuse.h (protocol 7.31 to 7.45) that this file system uses, under the kernel's names. */

/** Protocol this engine speaks; the kernel and we settle on the lower minor of the two. */
export const FUSE_MAJOR = 7;
export const FUSE_MINOR = 45;
/** Linux 5.4; every kernel since 5.10 offers more. */
export const FUSE_MINOR_OLDEST = 31;

export const Opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  BMAP: 37,
  DESTROY: 38,
  IOCTL: 39,
  POLL: 40,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  TMPFILE: 51,
} as const;

/** No caller waits for an answer to these. */
export const WITHOUT_ANSWER: ReadonlySet<number> = new Set([
  Opcode.FORGET,
  Opcode.BATCH_FORGET,
  Opcode.INTERRUPT,
]);

/** INIT flags. Bits 32 and up travel in flags2, and only when both sides set INIT_EXT: hence bigint. */
export const InitFlag = {
  ASYNC_READ: 1n << 0n,
  /** Handles of files outlive what the kernel caches of them: it looks "." up by node id. */
  EXPORT_SUPPORT: 1n << 4n,
  DO_READDIRPLUS: 1n << 13n,
  READDIRPLUS_AUTO: 1n << 14n,
  ASYNC_DIO: 1n << 15n,
  PARALLEL_DIROPS: 1n << 18n,
  MAX_PAGES: 1n << 22n,
  CACHE_SYMLINKS: 1n << 23n,
  EXPLICIT_INVAL_DATA: 1n << 25n,
  INIT_EXT: 1n << 30n,
  PASSTHROUGH: 1n << 37n,
  HAS_RESEND: 1n << 39n,
} as const;

/** Flags of an OPEN reply. */
export const OpenFlag = {
  DIRECT_IO: 1 << 0,
  KEEP_CACHE: 1 << 1,
  /** Linux >= 6.9: the kernel reads the backing file itself. */
  PASSTHROUGH: 1 << 7,
} as const;

/** Codes of messages that we start: `error` of a fuse_out_header whose unique is 0. */
export const NotifyCode = { INVAL_INODE: 2, INVAL_ENTRY: 3, RESEND: 7 } as const;

/** Set in the `unique` of a request that the kernel sends again: its first reader died with it. */
export const RESENT = 1n << 63n;

/** Set in the `unique` of an INTERRUPT, and of its reply: the rest is that of the request it is about. */
export const INTERRUPT = 1n;

/** Every page size the kernel serves images on is a multiple of this; requests are whole pages of it. */
export const PAGE_SIZE = 4096;
/** The kernel caps a request at 256 pages (fs.fuse.max_pages_limit). */
export const MAX_PAGES = 256;
/** The kernel refuses to hand a request to a reader with less room than a WRITE might need. */
export const REQUEST_ROOM = 64 * 1024 + PAGE_SIZE;
/** The longest READ the kernel may send. */
export const MAX_READ = MAX_PAGES * PAGE_SIZE;

/** The name of an opcode, for logs. */
export function opcodeName(opcode: number): string {
  return OPCODE_NAMES.get(opcode) ?? `opcode ${opcode}`;
}

const OPCODE_NAMES = new Map<number, string>(Object.entries(Opcode).map(([name, code]) => [code, name]));
