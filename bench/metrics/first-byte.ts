import { fileURLToPath } from 'node:url';
import { run } from '../command.js';
import { median } from '../statistics.js';
import type { Metric } from './metric.js';

const PROBE = fileURLToPath(new URL('first-byte-probe.js', import.meta.url));

export const firstByte: Metric = {
  name: 'first-byte',
  unit: 'seconds',
  meaning: 'from open(2) to the first byte of a cold place of the image, the volume being attached already',
  better: 'less',
  image: 'dense',
  async measure(subject) {
    await subject.chill();
    const { target, image, workbench } = subject;
    if (target.kind !== 'path') return undefined;
    const probe = [PROBE, target.path, String(image.bytes)];
    const { stdout } = await run(process.execPath, probe, { signal: workbench.signal });
    return median(stdout.trim().split('\n').map(Number));
  },
};
