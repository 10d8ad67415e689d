/**
 * `npm run fuzz [-- TARGET...] [--seconds N] [--seed N] [--replay FILE]`: looks for inputs that break a target. Ends with
 * status 1 and the name of a file where one does.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { seedFor } from '../support/seeds.js';
import { campaign, replay, type CampaignResult } from './campaign.js';
import { TARGETS } from './targets/all.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string' },
    replay: { type: 'string' },
    here: { type: 'boolean', default: false },
  },
});
const FINDINGS = path.resolve('fuzz-findings');
const wanted = positionals.length === 0 ? TARGETS.map(({ name }) => name) : positionals;
const seed = values.seed === undefined ? seedFor() : Number(values.seed);

for (const name of wanted) {
  const failed = values.here || values.replay !== undefined ? await runHere(name) : await runApart(name);
  if (failed) process.exitCode = 1;
}
// A connection that a target could not close must not keep this process.
if (values.here) process.exit();

/** Each target in a process of its own: their memory is theirs, and one that hangs or is killed is not the last. */
async function runApart(name: string): Promise<boolean> {
  const args = ['--here', '--seconds', values.seconds, '--seed', String(seed), name];
  const options = ['--enable-source-maps', fileURLToPath(import.meta.url)];
  const child = spawn(process.execPath, [...options, ...args], { stdio: 'inherit' });
  const [status] = (await once(child, 'close')) as [number | null];
  return status !== 0;
}

async function runHere(name: string): Promise<boolean> {
  const target = TARGETS.find((known) => known.name === name);
  if (target === undefined)
    throw new Error(
      `no target is called ${name}; there are ${TARGETS.map((known) => known.name).join(', ')}`,
    );
  if (values.replay !== undefined) {
    await replay(target, readFileSync(values.replay), FINDINGS);
    process.stdout.write(`${name}: ${values.replay} does no harm\n`);
    return false;
  }
  const seconds = Number(values.seconds);
  const result = await campaign(target, { seed, seconds, guided: true, findings: FINDINGS });
  process.stdout.write(`${describe(name, result)}\n`);
  return result.failure !== undefined;
}

function describe(name: string, result: CampaignResult): string {
  const { executions, seconds, corpus, blocks = 0, memory, failure } = result;
  const [start, end, most] = memory.map((bytes) => Math.round(bytes / 2 ** 20));
  const speed = Math.round(executions / seconds);
  const line =
    `${name}: ${executions} inputs in ${Math.round(seconds)} s (${speed}/s), seed ${seed}, corpus ${corpus}, ` +
    `${blocks} blocks, MiB ${start} at the start, ${end} at the end, ${most} at most`;
  if (failure === undefined) return line;
  const { error, file } = failure;
  const reason = error instanceof Error ? error.stack : String(error);
  return `${line}\nFAILED: ${reason}\nReplay: npm run fuzz -- ${name} --replay ${file}`;
}
