import { sequentialRead } from '../loads/sequential-read.js';
import type { Metric } from './metric.js';

const READERS = 32;

export const fanin32: Metric = {
  name: 'fanin-32',
  unit: 'times',
  meaning: `bytes taken from the source over the image's size while ${READERS} readers read the whole cold image`,
  better: 'less',
  image: 'dense',
  async measure(subject) {
    // librbd keeps no page cache: for RBD itself the answer is known to be 32.
    if (subject.target.kind === 'rbd') return undefined;
    await subject.chill();
    const { target, image, workbench } = subject;
    const before = await subject.bytesTaken();
    await Promise.all(
      Array.from({ length: READERS }, () => sequentialRead(target, image.bytes, workbench.signal)),
    );
    const after = await subject.bytesTaken();
    return before === undefined || after === undefined ? undefined : (after - before) / image.bytes;
  },
};
