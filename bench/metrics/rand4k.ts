import { fromSource } from '../from-source.js';
import { randomRead } from '../loads/random-read.js';
import type { Metric } from './metric.js';

/** One reader waits for each answer: latency. Eight: what the server does at once. */
export const rand4k1 = rand4k(1);
export const rand4k8 = rand4k(8);

function rand4k(readers: number): Metric {
  return {
    name: `rand4k-${readers}`,
    unit: 'operations/s',
    meaning: `4 KiB reads at random, ${readers} at once, cold, no block twice`,
    better: 'more',
    image: 'dense',
    async measure(subject) {
      await subject.chill();
      const { target, image, workbench } = subject;
      const seconds = workbench.options.scale.randomSeconds;
      const read = () => randomRead(target, image.bytes, readers, seconds, workbench.signal);
      return (await fromSource(subject, read)).perSecond;
    },
  };
}
