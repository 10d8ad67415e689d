/** The main job on an embedded cloud, step by step: `npm run demo [-- --keep]`. */
import { parseArgs } from 'node:util';
import { runDemo } from './tour.js';

const { values } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
process.exitCode = await runDemo({ keep: values.keep, say: (text) => process.stdout.write(text) });
