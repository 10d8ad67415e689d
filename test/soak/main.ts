/** npm run test:soak -- [--minutes N] [--seed S] [--cores C]: see docs/reliability.md. One line at the end says it all. */
import { setPriority } from 'node:os';
import { parseArgs } from 'node:util';
import { soak } from './soak.js';

const NICE = 10;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    cores: { type: 'string', default: '0.4' },
  },
});
const [minutes, seed, cores] = [values.minutes, values.seed, values.cores].map(Number);
if (
  minutes === undefined ||
  seed === undefined ||
  cores === undefined ||
  !(minutes > 0 && cores > 0 && seed >= 0)
) {
  process.stderr.write('usage: npm run test:soak -- [--minutes N] [--seed S] [--cores SHARE]\n');
  process.exit(2);
}
setPriority(NICE);
const { summary, ok } = await soak({ minutes, seed, cores });
process.stdout.write(`${summary}\n`);
process.exitCode = ok ? 0 : 1;
