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

/**
 * Measures every server over one backing, interleaved: each server once, then all over again, so that whatever
 * else the machine does meanwhile falls on all of them alike. A server that fails is said to, left out from then
 * on, and counted.
 *
 * @returns how many servers failed
 */
export async function measureBacking(backing: Backing, plan: Plan, workbench: Workbench): Promise<number> {
  const servers = await startable(backing, plan);
  const failed = new Set<Server>();
  const { repetitions, backingSeconds } = workbench.options.scale;
  const deadline = performance.now() + 1000 * backingSeconds;
  for (let repetition = 1; repetition <= repetitions; repetition += 1) {
    if (repetition > 1 && performance.now() > deadline) break;
    plan.say(`${backing.name}: repetition ${repetition} of ${repetitions}`);
    for (const server of servers) {
      if (failed.has(server)) continue;
      try {
        await measureServer(server, backing, plan, workbench);
      } catch (error) {
        workbench.signal.throwIfAborted();
        failed.add(server);
        plan.say(`FAILED ${backing.name} ${server.name}: ${describe(error)}`);
      }
    }
  }
  return failed.size;
}

async function measureServer(
  server: Server,
  backing: Backing,
  plan: Plan,
  workbench: Workbench,
): Promise<void> {
  for (const image of [backing.dense, backing.sparse]) {
    const metrics = plan.metrics.filter((metric) => metric.image === image?.name);
    if (image !== undefined && metrics.length > 0) {
      await measureImage(new Subject(server, image, backing, workbench), metrics, image, plan);
    }
  }
}

async function measureImage(
  subject: Subject,
  metrics: readonly Metric[],
  image: Image,
  { samples, say }: Plan,
): Promise<void> {
  const { serverName, workbench } = subject;
  await subject.start();
  try {
    for (const metric of metrics) {
      workbench.signal.throwIfAborted();
      const value = await metric.measure(subject);
      if (value === undefined) continue;
      samples.add(image.backing, serverName, metric, value);
      say(`  ${image.backing} ${serverName} ${metric.name} ${formatValue(value, metric.unit)}`);
    }
  } finally {
    await subject.stop();
  }
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
