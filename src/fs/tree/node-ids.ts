/** Node ids: positive integers below 2^52, derived from what the node is, so that a new process derives them again. */
import { createHash } from 'node:crypto';
import { ROOT_NODE } from '../contract/filesystem.js';

export type HashToNode = (key: string) => number;

/** 52 bits of SHA-256: exact in a double, and in an inode number of every user space. */
export function hashToNode(key: string): number {
  const digest = createHash('sha256').update(key).digest();
  return digest.readUIntBE(0, 6) * 16 + (digest.readUInt8(6) >> 4);
}

/**
 * An id for every key. Keys in `previous` keep theirs (the kernel remembers it); of new keys that collide, the one
 * that sorts first gets the plain hash. Ids 0 and ROOT_NODE are never given out.
 */
export function assignNodeIds(
  keys: readonly string[],
  previous: ReadonlyMap<string, number> = new Map(),
  hash: HashToNode = hashToNode,
): Map<string, number> {
  const ids = new Map<string, number>();
  const taken = new Set<number>([0, ROOT_NODE]);
  for (const key of keys) {
    const id = previous.get(key);
    if (id === undefined) continue;
    ids.set(key, id);
    taken.add(id);
  }
  for (const key of keys.filter((candidate) => !ids.has(candidate)).sort()) {
    const id = firstFree(key, taken, hash);
    ids.set(key, id);
    taken.add(id);
  }
  return ids;
}

function firstFree(key: string, taken: ReadonlySet<number>, hash: HashToNode): number {
  let id = hash(key);
  for (let salt = 1; taken.has(id); salt += 1) id = hash(`${key}#${salt}`);
  return id;
}
