import type { Target } from '../backings/backing.js';
import { fio, fioTarget } from './fio.js';

export interface RandomRead {
  readonly bytes: number;
  /** Operations, all readers together. */
  readonly perSecond: number;
}

/**
 * 4 KiB reads at random by `readers` processes, each in its own part of the image and no block twice: whoever
 * answers quickly cannot have had it in a cache. Ends when all blocks are read, or after `seconds`.
 */
export async function randomRead(
  target: Target,
  bytes: number,
  readers: number,
  seconds: number,
  signal: AbortSignal,
): Promise<RandomRead> {
  const part = Math.floor(bytes / readers / 4096) * 4096;
  const job = await fio(
    [
      ...fioTarget(target),
      ...['--rw=randread', '--bs=4k', `--numjobs=${readers}`],
      ...[`--size=${part}`, `--offset_increment=${part}`, `--runtime=${seconds}`],
    ],
    signal,
  );
  return { bytes: job.read.io_bytes, perSecond: job.read.iops };
}
