import { sequentialRead } from '../loads/sequential-read.js';
import type { Metric } from './metric.js';

export const seqWarm: Metric = {
  name: 'seq-warm',
  unit: 'bytes/s',
  meaning: 'the same again: closed, opened anew and read right after it had been read',
  better: 'more',
  image: 'dense',
  async measure({ target, image, workbench }) {
    await sequentialRead(target, image.bytes, workbench.signal);
    return (await sequentialRead(target, image.bytes, workbench.signal)).bytesPerSecond;
  },
};
