import { fromSource } from '../from-source.js';
import { randomRead, type Spread } from '../loads/random-read.js';
import type { Metric } from './metric.js';

/** One reader waits for each answer: latency. Eight: what the server does at once. */
export const rand4k1 = rand4k(
  'rand4k-1',
  '4 KiB reads at random, 1 at once, cold, a fifth of the blocks, none twice',
  1,
  'together',
);
export const rand4k8 = rand4k(
  'rand4k-8',
  '4 KiB reads at random by 8 readers of the whole image, cold; each as with 1',
  8,
  'together',
);
/** The server alone: the page cache can help nobody. */
export const rand4k8Apart = rand4k(
  'rand4k-8-apart',
  'the same, each reader in a part of its own: no block is read twice by anybody',
  8,
  'apart',
);

function rand4k(name: string, meaning: string, readers: number, spread: Spread): Metric {
  return {
    name,
    unit: 'operations/s',
    meaning,
    better: 'more',
    image: 'dense',
    async measure(subject) {
      await subject.chill();
      const { target, image, workbench } = subject;
      const seconds = workbench.options.scale.randomSeconds;
      const load = { readers, spread, seconds };
      const read = () => randomRead(target, image.bytes, load, workbench.signal);
      return (await fromSource(subject, read)).perSecond;
    },
  };
}
