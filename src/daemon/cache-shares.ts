/** Bytes of `cache_size` by what they are for. */
export interface CacheShares {
  /** Blocks for readers that pass by the page cache of the mount (O_DIRECT). */
  readonly blockBytes: number;
  /** Pieces fetched around short reads of all others. */
  readonly pieceBytes: number;
}

/** Most is for blocks: a boot storm with qemu's cache=none has no other cache. */
export function shareCache(bytes: number): CacheShares {
  const pieceBytes = Math.floor(bytes / 4);
  return { blockBytes: bytes - pieceBytes, pieceBytes };
}
