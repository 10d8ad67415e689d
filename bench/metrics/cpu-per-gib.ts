import type { Metric } from './metric.js';
import { readFromSource } from './seq-cold.js';

const GiB = 2 ** 30;

export const cpuPerGib: Metric = {
  name: 'cpu-per-gib',
  unit: 'seconds/GiB',
  meaning: 'CPU time of server and reader together for each GiB of a cold sequential read',
  better: 'less',
  image: 'dense',
  async measure(subject) {
    await subject.chill();
    const before = await subject.cpuSeconds();
    const read = await readFromSource(subject);
    const served = (await subject.cpuSeconds()) - before;
    return (served + read.cpuSeconds) / (subject.image.bytes / GiB);
  },
};
