import { Absent } from './absent.js';
import type { Backing, Image } from './backings/backing.js';
import type { Metric } from './metrics/metric.js';
import { formatValue } from './format.js';
import type { Samples } from './samples.js';
import type { Requirement, Server } from './servers/server.js';
import { Subject } from './subject.js';
import { findMissing } from './requirements.js';
import type { Workbench } from './workbench.js';

/** What one run measures, and where it tells how it goes. */
export interface Plan {
  readonly servers: readonly Server[];
  readonly metrics: readonly Metric[];
  readonly samples: Samples;
  readonly say: (line: string) => void;
}

/** A figure that could not be had. */
export interface Failure {
  readonly backing: string;
  readonly server: Server;
  /** Undefined when the server did not even start. */
  readonly metric: string | undefined;
  readonly reason: string;
}

/**
 * Measures every server over one backing, interleaved: each server once, then all over again, so that whatever
 * else the machine does meanwhile falls on all of them alike. What fails is told, left out from then on, and
 * returned; the rest goes on.
 */
export async function measureBacking(
  backing: Backing,
  plan: Plan,
  workbench: Workbench,
): Promise<readonly Failure[]> {
  const servers = await startable(backing, plan);
  const failures: Failure[] = [];
  const images = [backing.dense, backing.sparse].filter((image) => image !== undefined);
  const turns = servers.flatMap((server) => images.map((image) => ({ server, image, backing, failures })));
  const { repetitions, backingSeconds } = workbench.options.scale;
  const deadline = performance.now() + 1000 * backingSeconds;
  for (let repetition = 1; repetition <= repetitions; repetition += 1) {
    if (repetition > 1 && performance.now() > deadline) break;
    plan.say(`${backing.name}: repetition ${repetition} of ${repetitions}`);
    for (const turn of turns) await measureImage(turn, plan, workbench);
  }
  return failures;
}

interface Turn {
  readonly server: Server;
  readonly image: Image;
  readonly backing: Backing;
  readonly failures: Failure[];
}

async function measureImage(turn: Turn, plan: Plan, workbench: Workbench): Promise<void> {
  const { server, image, backing } = turn;
  const metrics = plan.metrics.filter((metric) => metric.image === image.name && !hasFailed(turn, metric));
  if (metrics.length === 0) return;
  const subject = new Subject(server, image, backing, workbench);
  try {
    await subject.start();
    for (const metric of metrics) await measureOnce(metric, subject, turn, plan);
  } catch (error) {
    note(turn, undefined, error, plan, workbench);
  } finally {
    await subject.stop();
  }
}

async function measureOnce(metric: Metric, subject: Subject, turn: Turn, plan: Plan): Promise<void> {
  const { server, image } = turn;
  subject.workbench.signal.throwIfAborted();
  try {
    const value = await metric.measure(subject);
    if (value === undefined) return;
    plan.samples.add(image.backing, server.name, metric, value);
    plan.say(`  ${image.backing} ${server.name} ${metric.name} ${formatValue(value, metric.unit)}`);
  } catch (error) {
    note(turn, metric.name, error, plan, subject.workbench);
    // What failed once may be sick: the next figure is not to suffer from it.
    await subject.stop();
    await subject.start();
  }
}

function note(
  { server, backing, failures }: Turn,
  metric: string | undefined,
  error: unknown,
  { say }: Plan,
  workbench: Workbench,
): void {
  workbench.signal.throwIfAborted();
  const reason = describe(error);
  failures.push({ backing: backing.name, server, metric, reason });
  say(`FAILED ${backing.name} ${server.name} ${metric ?? 'start'}: ${reason}`);
}

function hasFailed({ server, failures }: Turn, metric: Metric): boolean {
  return failures.some(
    (one) => one.server === server && (one.metric === undefined || one.metric === metric.name),
  );
}

async function startable(backing: Backing, { servers, say }: Plan): Promise<Server[]> {
  const fitting = servers.filter((server) => server.serves(backing.dense));
  const missing = await Promise.all(fitting.map((server) => findMissing(server.needs)));
  for (const [index, lacks] of missing.entries()) {
    if (lacks.length > 0) say(`skipping ${fitting[index]?.name ?? ''}: ${howToGet(lacks)}`);
  }
  return fitting.filter((_, index) => missing[index]?.length === 0);
}

function howToGet(lacks: readonly Requirement[]): string {
  return lacks
    .map(({ command, debian }) => `${command} is not installed (Debian package ${debian})`)
    .join(', ');
}

function describe(error: unknown): string {
  if (error instanceof Absent) return error.message;
  return error instanceof Error
    ? `${error.message}${error.cause === undefined ? '' : `: ${describe(error.cause)}`}`
    : String(error);
}
