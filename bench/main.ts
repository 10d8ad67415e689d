/** npm run bench: cinderfs side by side with what it reads from and with the C programs that do the same. */
import { setMaxListeners } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { Absent } from './absent.js';
import type { PrepareBacking } from './backings/backing.js';
import { BACKINGS, METRICS, SERVERS } from './catalogue.js';
import { replaceTables, toMarkdown } from './document.js';
import { describeMachine } from './machine.js';
import { parseOptions, USAGE, type BenchOptions } from './options.js';
import { toJson, type Report } from './report.js';
import { measureBacking, type Failure, type Plan } from './runner.js';
import { Samples } from './samples.js';
import { Workbench } from './workbench.js';

process.exitCode = await main(process.argv.slice(2));

/** @returns the exit status: 0, 1 when cinderfs could not be measured or something was left behind, 2 for a wrong command line, 130 for SIGINT */
async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) {
    process.stdout.write(USAGE);
    return 0;
  }
  const options = optionsFrom(args);
  if (options === undefined) return 2;
  if (process.getuid?.() !== 0) {
    say('bench: run it as root: it mounts, makes loop devices and drops the page cache');
    return 2;
  }
  const stop = new AbortController();
  // Every load generator that runs listens; 32 of them at once are no leak.
  setMaxListeners(0, stop.signal);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  try {
    return await runBench(options, stop.signal);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    say('bench: interrupted');
    return 130;
  }
}

async function runBench(options: BenchOptions, signal: AbortSignal): Promise<number> {
  const date = new Date().toISOString();
  const machine = await describeMachine();
  const workbench = await Workbench.open(options, signal);
  const metrics = chosen(METRICS, options.metrics);
  const plan: Plan = { servers: chosen(SERVERS, options.servers), metrics, samples: new Samples(), say };
  const failures: Failure[] = [];
  let leftBehind = 0;
  try {
    for (const [name, prepare] of Object.entries(BACKINGS)) {
      if (options.backings?.includes(name) ?? true) {
        failures.push(...(await runBacking(prepare, plan, workbench)));
      }
    }
  } finally {
    for (const { what, error } of await workbench.cleanup.run()) {
      leftBehind += 1;
      say(`bench: cleaning up: ${what}: ${String(error)}`);
    }
  }
  const report: Report = { machine, date, rows: plan.samples.rows() };
  const tables = toMarkdown(report, failures, metrics, options.scale);
  if (options.out !== undefined) await writeFile(options.out, toJson(report));
  if (options.doc !== undefined) {
    await writeFile(options.doc, replaceTables(await readFile(options.doc, 'utf8'), tables));
  }
  process.stdout.write(`${tables}\n`);
  // A peer may have its own faults; the document names them.
  return leftBehind === 0 && failures.every(({ server }) => server.isPeer) ? 0 : 1;
}

async function runBacking(
  prepare: PrepareBacking,
  plan: Plan,
  workbench: Workbench,
): Promise<readonly Failure[]> {
  try {
    return await measureBacking(await prepare(workbench), plan, workbench);
  } catch (error) {
    if (!(error instanceof Absent)) throw error;
    say(`skipping a backing: ${error.message}`);
    return [];
  }
}

function chosen<T extends { readonly name: string }>(
  all: readonly T[],
  names: readonly string[] | undefined,
): T[] {
  return all.filter(({ name }) => names?.includes(name) ?? true);
}

function optionsFrom(args: readonly string[]): BenchOptions | undefined {
  try {
    return parseOptions(args, process.env);
  } catch (error) {
    say(`bench: ${(error as Error).message}\n${USAGE}`);
    return undefined;
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
