/** All offset arithmetic of the block cache, and nothing else. Offsets and lengths in bytes, below 2^53. */

/** A run of blocks: `count` of them from number `first` on. */
export interface BlockRun {
  readonly first: number;
  readonly count: number;
}

/** A part of one block. */
export interface BlockSlice {
  readonly block: number;
  /** Within the block. */
  readonly start: number;
  readonly end: number;
}

/** The blocks that hold any of [offset, offset + length). `length` > 0. */
export function blocksCovering(offset: number, length: number, blockSize: number): BlockRun {
  const first = Math.floor(offset / blockSize);
  const last = Math.floor((offset + length - 1) / blockSize);
  return { first, count: last - first + 1 };
}

/** [offset, offset + length) as slices of its blocks, in order. */
export function slicesOf(offset: number, length: number, blockSize: number): BlockSlice[] {
  const { first, count } = blocksCovering(offset, length, blockSize);
  return Array.from({ length: count }, (_, index) => {
    const block = first + index;
    const base = block * blockSize;
    return {
      block,
      start: Math.max(0, offset - base),
      end: Math.min(blockSize, offset + length - base),
    };
  });
}

/** Bytes in block number `block` of an image of `size` bytes: all but the last are whole. */
export function blockLength(block: number, blockSize: number, size: number): number {
  return Math.max(0, Math.min(blockSize, size - block * blockSize));
}

/** Ascending block numbers as runs of neighbours, none longer than `limit` blocks. */
export function coalesce(blocks: readonly number[], limit: number): BlockRun[] {
  const runs: { first: number; count: number }[] = [];
  for (const block of blocks) {
    const run = runs.at(-1);
    if (run !== undefined && run.count < limit && block === run.first + run.count) run.count += 1;
    else runs.push({ first: block, count: 1 });
  }
  return runs;
}
