/** Offsets and lengths in bytes, below 2^53. */

export function alignDown(offset: number, alignment: number): number {
  return offset - (offset % alignment);
}

export function alignUp(offset: number, alignment: number): number {
  return alignDown(offset + alignment - 1, alignment);
}
