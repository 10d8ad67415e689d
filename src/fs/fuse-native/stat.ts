import { constants } from 'node:fs';
import { blocksOf, IO_SIZE } from '../tree/attributes.js';
import type { Attributes, NodeKind } from '../contract/filesystem.js';
import type { NativeStat } from './binding.js';

const TYPE_BITS = {
  file: constants.S_IFREG,
  directory: constants.S_IFDIR,
  symlink: constants.S_IFLNK,
} as const satisfies Record<NodeKind, number>;

/** stat(2) of a node. The inode number is libfuse's: the binding has only 32 bits for it. */
export function nativeStat(attributes: Attributes): NativeStat {
  return {
    mode: TYPE_BITS[attributes.kind] | attributes.permissions,
    uid: attributes.uid,
    gid: attributes.gid,
    size: attributes.size,
    nlink: attributes.links,
    ino: 0,
    blksize: IO_SIZE,
    blocks: blocksOf(attributes),
    atime: attributes.modifiedMs,
    mtime: attributes.modifiedMs,
    ctime: attributes.changedMs,
  };
}
