import { blocksOf } from '../../tree/attributes.js';
import type { Attributes, NodeKind } from '../../contract/filesystem.js';
import { ATTR_OUT, ENTRY_OUT } from './messages.js';
import { PAGE_SIZE } from './opcodes.js';
import type { Values } from '../../../sys/calls/struct.js';

/** File type bits of st_mode, and the same as a directory entry's d_type. */
const S_IFMT: Record<NodeKind, number> = { file: 0o100000, directory: 0o040000, symlink: 0o120000 };

/** d_type of a directory entry. */
export function entryType(kind: NodeKind): number {
  return S_IFMT[kind] >> 12;
}

/** The payload of GETATTR. */
export function encodeAttributes(attributes: Attributes, ttlSeconds: number): Buffer {
  return ATTR_OUT.encode({ attr_valid: validFor(attributes, ttlSeconds), ...attrFields(attributes) });
}

/** The payload of LOOKUP, and the first part of a READDIRPLUS entry. */
export function entryFields(
  attributes: Attributes,
  ttlSeconds: number,
): Partial<Values<typeof ENTRY_OUT.fields>> {
  return {
    nodeid: attributes.node,
    entry_valid: ttlSeconds,
    attr_valid: validFor(attributes, ttlSeconds),
    ...attrFields(attributes),
  };
}

export function encodeEntry(attributes: Attributes, ttlSeconds: number): Buffer {
  return ENTRY_OUT.encode(entryFields(attributes, ttlSeconds));
}

function validFor({ volatile }: Attributes, ttlSeconds: number): number {
  return volatile === true ? 0 : ttlSeconds;
}

function attrFields(attributes: Attributes): Partial<Values<typeof ATTR_OUT.fields>> {
  const [modified, modifiedNs] = secondsOf(attributes.modifiedMs);
  const [changed, changedNs] = secondsOf(attributes.changedMs);
  return {
    ino: attributes.node,
    size: attributes.size,
    blocks: blocksOf(attributes),
    atime: modified,
    atimensec: modifiedNs,
    mtime: modified,
    mtimensec: modifiedNs,
    ctime: changed,
    ctimensec: changedNs,
    mode: S_IFMT[attributes.kind] | attributes.permissions,
    nlink: attributes.links,
    uid: attributes.uid,
    gid: attributes.gid,
    blksize: PAGE_SIZE,
  };
}

function secondsOf(ms: number): [seconds: number, nanoseconds: number] {
  const whole = Math.max(0, Math.floor(ms));
  return [Math.floor(whole / 1000), (whole % 1000) * 1_000_000];
}
