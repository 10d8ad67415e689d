import { join } from 'node:path';
import { run } from '../command.js';
import type { Metric } from './metric.js';

export const sparseConvert: Metric = {
  name: 'sparse-convert',
  unit: 'seconds',
  meaning: 'qemu-img convert of a mostly empty image to a raw file in tmpfs',
  better: 'less',
  image: 'sparse',
  async measure(subject) {
    await subject.chill();
    const { target } = subject;
    if (target.kind !== 'path') return undefined;
    const { directory, cleanup } = await subject.workbench.room();
    try {
      const convert = ['convert', '-f', 'raw', '-O', 'raw', target.path, join(directory, 'copy.raw')];
      return (await run('qemu-img', convert, { signal: subject.workbench.signal })).seconds;
    } finally {
      await cleanup.run();
    }
  },
};
