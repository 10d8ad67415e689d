import { fromSource } from '../from-source.js';
import { sequentialRead } from '../loads/sequential-read.js';
import type { Metric } from './metric.js';

const GiB = 2 ** 30;

export const cpuPerGib: Metric = {
  name: 'cpu-per-gib',
  unit: 'seconds/GiB',
  meaning: 'CPU time of server and reader together for each GiB of a cold sequential read',
  better: 'less',
  image: 'dense',
  async measure(subject) {
    await subject.chill();
    const { target, image, workbench } = subject;
    const before = await subject.cpuSeconds();
    const read = await fromSource(subject, () => sequentialRead(target, image.bytes, workbench.signal));
    const served = (await subject.cpuSeconds()) - before;
    if (read.cpuSeconds === undefined) return undefined;
    return (served + read.cpuSeconds) / (image.bytes / GiB);
  },
};
