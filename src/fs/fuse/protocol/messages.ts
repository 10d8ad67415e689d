import { struct } from '../../../sys/calls/struct.js';

/** The structures of linux/fuse.h, field by field, under the kernel's names. */

export const IN_HEADER = struct({
  len: 'u32',
  opcode: 'u32',
  unique: 'id64',
  nodeid: 'u64',
  uid: 'u32',
  gid: 'u32',
  pid: 'u32',
  total_extlen: 'u16',
  padding: 'u16',
});

export const OUT_HEADER = struct({ len: 'u32', error: 'i32', unique: 'id64' });

/** Up to 7.35 the kernel sends only the first four fields. */
export const INIT_IN_SHORT = struct({ major: 'u32', minor: 'u32', max_readahead: 'u32', flags: 'u32' });
export const INIT_IN = struct({ ...INIT_IN_SHORT.fields, flags2: 'u32' }, 64);

export const INIT_OUT = struct(
  {
    major: 'u32',
    minor: 'u32',
    max_readahead: 'u32',
    flags: 'u32',
    max_background: 'u16',
    congestion_threshold: 'u16',
    max_write: 'u32',
    time_gran: 'u32',
    max_pages: 'u16',
    map_alignment: 'u16',
    flags2: 'u32',
    max_stack_depth: 'u32',
  },
  64,
);

const ATTR = {
  ino: 'u64',
  size: 'u64',
  blocks: 'u64',
  atime: 'u64',
  mtime: 'u64',
  ctime: 'u64',
  atimensec: 'u32',
  mtimensec: 'u32',
  ctimensec: 'u32',
  mode: 'u32',
  nlink: 'u32',
  uid: 'u32',
  gid: 'u32',
  rdev: 'u32',
  blksize: 'u32',
  flags: 'u32',
} as const;

export const ENTRY_OUT = struct({
  nodeid: 'u64',
  generation: 'u64',
  entry_valid: 'u64',
  attr_valid: 'u64',
  entry_valid_nsec: 'u32',
  attr_valid_nsec: 'u32',
  ...ATTR,
});

export const ATTR_OUT = struct({ attr_valid: 'u64', attr_valid_nsec: 'u32', dummy: 'u32', ...ATTR });

export const FORGET_IN = struct({ nlookup: 'u64' });
export const BATCH_FORGET_IN = struct({ count: 'u32', dummy: 'u32' });
export const FORGET_ONE = struct({ nodeid: 'u64', nlookup: 'u64' });

export const OPEN_IN = struct({ flags: 'u32', open_flags: 'u32' });
export const OPEN_OUT = struct({ fh: 'u64', open_flags: 'u32', backing_id: 'i32' });
export const RELEASE_IN = struct({ fh: 'u64', flags: 'u32', release_flags: 'u32', lock_owner: 'id64' });

export const READ_IN = struct({
  fh: 'u64',
  offset: 'u64',
  size: 'u32',
  read_flags: 'u32',
  lock_owner: 'id64',
  flags: 'u32',
  padding: 'u32',
});

export const LSEEK_IN = struct({ fh: 'u64', offset: 'u64', whence: 'u32', padding: 'u32' });
export const LSEEK_OUT = struct({ offset: 'u64' });

export const GETXATTR_IN = struct({ size: 'u32', padding: 'u32' });
export const GETXATTR_OUT = struct({ size: 'u32', padding: 'u32' });

/** A fuse_dirent; the name follows, padded to 8 bytes. READDIRPLUS puts an ENTRY_OUT in front. */
export const DIRENT = struct({ ino: 'u64', off: 'u64', namelen: 'u32', type: 'u32' });

export const STATFS_OUT = struct(
  {
    blocks: 'u64',
    bfree: 'u64',
    bavail: 'u64',
    files: 'u64',
    ffree: 'u64',
    bsize: 'u32',
    namelen: 'u32',
    frsize: 'u32',
    padding: 'u32',
  },
  80,
);

export const INTERRUPT_IN = struct({ unique: 'id64' });

export const INVAL_INODE_OUT = struct({ ino: 'u64', off: 'i64', len: 'i64' });
/** The name follows, with its NUL. */
export const INVAL_ENTRY_OUT = struct({ parent: 'u64', namelen: 'u32', flags: 'u32' });
