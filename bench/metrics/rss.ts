import { setTimeout as sleep } from 'node:timers/promises';
import type { Metric } from './metric.js';

/** Starting and attaching take memory that is given back within moments; what is left then is what it costs to be idle. */
const IDLE_MS = 1000;

/** Comes first of all metrics: attached and open, nothing read yet. */
export const rssIdle: Metric = {
  name: 'rss-idle',
  unit: 'bytes',
  meaning: 'resident memory of all server processes, the image open for a second and nothing read',
  better: 'less',
  image: 'dense',
  async measure(subject) {
    await sleep(IDLE_MS, undefined, { signal: subject.workbench.signal });
    return orUndefined(await subject.residentBytes());
  },
};

/** Comes right after fanin-32: the most the server has needed until and with that load. */
export const rss: Metric = {
  name: 'rss',
  unit: 'bytes',
  meaning: 'the most resident memory of all server processes, the 32 readers included',
  better: 'less',
  image: 'dense',
  measure: async (subject) => orUndefined(await subject.peakResidentBytes()),
};

/** `direct` has no process, hence no memory: not the best figure but none. */
function orUndefined(bytes: number): number | undefined {
  return bytes === 0 ? undefined : bytes;
}
