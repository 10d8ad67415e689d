import { sequentialRead } from '../loads/sequential-read.js';
import type { Subject } from '../subject.js';
import type { Metric } from './metric.js';

export const seqCold: Metric = {
  name: 'seq-cold',
  unit: 'bytes/s',
  meaning: 'the whole image by dd with 1 MiB reads, no byte of it cached anywhere',
  better: 'more',
  image: 'dense',
  async measure(subject) {
    await subject.chill();
    return (await readFromSource(subject)).bytesPerSecond;
  },
};

/**
 * One sequential read of the whole image that must come from the source. Rejects when part of it came from a
 * cache: a figure that is too good is worse than none.
 */
export async function readFromSource(subject: Subject): Promise<Awaited<ReturnType<typeof sequentialRead>>> {
  const { bytes } = subject.image;
  const before = await subject.bytesTaken();
  const read = await sequentialRead(subject.target, bytes, subject.workbench.signal);
  const after = await subject.bytesTaken();
  if (before !== undefined && after !== undefined && after - before < 0.98 * bytes) {
    throw new Error(`${subject.serverName} read ${bytes} bytes, but only ${after - before} from the source`);
  }
  return read;
}
