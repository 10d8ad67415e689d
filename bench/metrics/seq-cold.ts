import { fromSource } from '../from-source.js';
import { sequentialRead } from '../loads/sequential-read.js';
import type { Metric } from './metric.js';

export const seqCold: Metric = {
  name: 'seq-cold',
  unit: 'bytes/s',
  meaning: 'the whole image by dd with 1 MiB reads, no byte of it cached anywhere',
  better: 'more',
  image: 'dense',
  async measure(subject) {
    await subject.chill();
    const { target, image, workbench } = subject;
    const read = () => sequentialRead(target, image.bytes, workbench.signal);
    return (await fromSource(subject, read)).bytesPerSecond;
  },
};
