import type { Target } from '../backings/backing.js';
import { fio, fioTarget } from './fio.js';

/** Which blocks the readers read. No reader reads a block twice, whichever it is. */
export type Spread =
  /**
   * Each a fifth of the blocks of the whole image, as 8 machines that boot from it: what one has read, another may
   * find in the page cache. The load of the design's own figures.
   */
  | 'together'
  /** Each in a part of its own: no block is read twice by anybody. */
  | 'apart';

export interface RandomRead {
  /** Bytes of different blocks, about: so many must have come from the source. */
  readonly bytes: number;
  /** Operations, all readers together. */
  readonly perSecond: number;
}

const BLOCK = 4096;
const SHARE = 1 / 5;

export interface RandomLoad {
  readonly readers: number;
  readonly spread: Spread;
  /** At most. */
  readonly seconds: number;
}

/** 4 KiB reads at random by several processes. */
export async function randomRead(
  target: Target,
  imageBytes: number,
  load: RandomLoad,
  signal: AbortSignal,
): Promise<RandomRead> {
  const job = await fio([...fioTarget(target), ...randomJob(imageBytes, load)], signal);
  const { io_bytes: asked, iops } = job.read;
  const isApart = load.spread === 'apart';
  return { bytes: isApart ? asked : distinctBytes(asked, load.readers, imageBytes), perSecond: iops };
}

/** What fio is told of such a load. */
export function randomJob(imageBytes: number, { readers, spread, seconds }: RandomLoad): string[] {
  const part = wholeBlocks(spread === 'apart' ? imageBytes / readers : imageBytes);
  const range =
    spread === 'apart' ? `--offset_increment=${part}` : `--io_size=${wholeBlocks(imageBytes * SHARE)}`;
  return [
    ...['--rw=randread', '--bs=4k', `--numjobs=${readers}`, `--size=${part}`, range],
    // Of "0.5" fio takes the 0, which means no limit.
    `--runtime=${Math.round(seconds * 1000)}ms`,
  ];
}

/** What readers that each choose their own blocks at random are expected to have read at least once, of `asked` bytes. */
export function distinctBytes(asked: number, readers: number, imageBytes: number): number {
  return imageBytes * (1 - (1 - asked / readers / imageBytes) ** readers);
}

function wholeBlocks(bytes: number): number {
  return Math.floor(bytes / BLOCK) * BLOCK;
}
