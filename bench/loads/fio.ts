import type { Target } from '../backings/backing.js';
import { run } from '../command.js';

/** One group of fio's report, the fields that are used. */
export interface FioJob {
  readonly error: number;
  readonly read: { readonly io_bytes: number; readonly bw_bytes: number; readonly iops: number };
}

/** Runs one fio job, read-only, and returns what it reports of all its processes together. */
export async function fio(args: readonly string[], signal: AbortSignal): Promise<FioJob> {
  const { stdout } = await run(
    'fio',
    ['--name=bench', '--readonly', '--group_reporting', '--output-format=json', ...args],
    { signal },
  );
  // fio may say something before the JSON, on stdout.
  const report = JSON.parse(stdout.slice(stdout.indexOf('{\n'))) as { readonly jobs: readonly FioJob[] };
  const job = report.jobs[0];
  if (job?.error !== 0) throw new Error(`fio ${args.join(' ')}: error ${job?.error ?? 'unknown'}`);
  return job;
}

export function fioTarget(target: Target): string[] {
  if (target.kind === 'path') return [`--filename=${target.path}`, '--ioengine=psync'];
  const { pool, image, user } = target;
  return ['--ioengine=rbd', `--pool=${pool}`, `--rbdname=${image}`, `--clientname=${user}`];
}
