import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { within } from '../support/time.js';
import { Undo } from '../support/undo.js';
import { Corpus } from './corpus.js';
import { Coverage } from './coverage.js';
import { collectBeyond, gauges, leak } from './gauges.js';
import type { Run, Target } from './target.js';
import { Watchdog } from './watchdog.js';

export interface CampaignOptions {
  readonly seed: number;
  /** It ends after this many seconds, or so many inputs. */
  readonly seconds: number;
  readonly inputs?: number | undefined;
  /** Whether inputs that reach new code are made more of; costs speed. */
  readonly guided: boolean;
  /** Where a failing input is written, as `<target>-<seed>`. */
  readonly findings: string;
}

export interface CampaignResult {
  readonly executions: number;
  readonly seconds: number;
  readonly corpus: number;
  /** Blocks of our own code that were reached, where it was guided. */
  readonly blocks: number | undefined;
  /** Resident bytes: at the start, at the end, at most. */
  readonly memory: readonly [start: number, end: number, most: number];
  readonly failure: { readonly error: unknown; readonly file: string } | undefined;
}

/** Milliseconds of processor that one run may take, and bytes that it may add to the memory of this process. */
const RUN_CPU_MS = 2_000;
const RUN_BYTES = 256 * 2 ** 20;
/** Shared memory is no reason for V8 to collect: it is told to, beyond this. */
const LITTER_BYTES = 200 * 2 ** 20;
/** Milliseconds for a run that waits for something. */
const RUN_MS = 20_000;

/** Feeds a target with inputs until its time is over or one fails, which is then made as small as time allows. */
export async function campaign(target: Target, options: CampaignOptions): Promise<CampaignResult> {
  const undo = manualUndo();
  const file = path.join(options.findings, `${target.name}-${options.seed}`);
  const watchdog = new Watchdog(file);
  try {
    const run = watched(await target.open(undo), watchdog);
    const corpus = new Corpus(target);
    const coverage = options.guided ? new Coverage(corpus, run) : undefined;
    // The first runs compile and connect: what they take is no leak.
    for (const seed of target.seeds) for (let i = 0; i < 3; i += 1) await run(seed);
    const [before, rss] = [gauges(), process.memoryUsage.rss()];
    await coverage?.start();
    const { executions, seconds, failure } = await feed(run, corpus, { ...options, coverage });
    await coverage?.stop();
    const grown = failure === undefined ? await leak(before) : undefined;
    const error = failure?.error ?? (grown === undefined ? undefined : new Error(`it leaks: ${grown}`));
    if (failure !== undefined) keep(file, failure.input);
    const memory = [rss, process.memoryUsage.rss(), process.resourceUsage().maxRSS * 1024] as const;
    const found = error === undefined ? undefined : { error, file };
    return { executions, seconds, corpus: corpus.size, blocks: coverage?.blocks, memory, failure: found };
  } finally {
    await undo.run();
    await watchdog.stop();
  }
}

/** One input, as a campaign runs it. */
export async function replay(target: Target, input: Buffer, findings: string): Promise<void> {
  const undo = manualUndo();
  const watchdog = new Watchdog(path.join(findings, `${target.name}-replayed`));
  try {
    await watched(await target.open(undo), watchdog)(input);
  } finally {
    await undo.run();
    await watchdog.stop();
  }
}

interface Fed {
  readonly executions: number;
  readonly seconds: number;
  readonly failure: { readonly error: unknown; readonly input: Buffer } | undefined;
}

async function feed(
  run: Run,
  corpus: Corpus,
  { seed, seconds, inputs = 2 ** 31 - 1, coverage }: CampaignOptions & { coverage: Coverage | undefined },
): Promise<Fed> {
  const [began, rss] = [performance.now(), process.memoryUsage.rss()];
  let executions = 0;
  let failure: Fed['failure'];
  let running = Promise.resolve();
  const one = async (input: Buffer): Promise<void> => {
    executions += 1;
    try {
      await run(input);
    } catch (error) {
      failure = { error, input };
      throw error;
    }
    if (failure === undefined) await coverage?.ran(input);
    if (executions % 64 === 0) collectBeyond(rss + LITTER_BYTES);
  };
  const property = fc.asyncProperty(corpus.inputs(), (input) => (running = one(input)));
  await fc.check(property, { seed, numRuns: inputs, interruptAfterTimeLimit: seconds * 1000 });
  // fast-check does not wait for what it interrupts.
  await running.catch(() => undefined);
  return { executions, seconds: (performance.now() - began) / 1000, failure };
}

/** `run` with bounds: of processor, of memory, of time. */
function watched(run: Run, watchdog: Watchdog): Run {
  return async (input) => {
    const [cpu, memory] = [process.cpuUsage(), process.resourceUsage().maxRSS];
    watchdog.begins(input);
    try {
      const running = run(input);
      if (running instanceof Promise) await bounded(running);
    } finally {
      watchdog.ended();
    }
    const { user, system } = process.cpuUsage(cpu);
    if ((user + system) / 1000 > RUN_CPU_MS)
      throw new Error(`it took ${(user + system) / 1000} ms of processor`);
    const grown = (process.resourceUsage().maxRSS - memory) * 1024;
    if (grown > RUN_BYTES) throw new Error(`it took ${grown} bytes of memory`);
  };
}

async function bounded(running: Promise<void>): Promise<void> {
  if ((await within(RUN_MS, running)) === 'late') throw new Error(`no end within ${RUN_MS / 1000} s`);
}

function keep(file: string, input: Buffer): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, input);
}

function manualUndo(): Undo {
  return new Undo({ after: () => undefined });
}
