import { fileURLToPath } from 'node:url';
import { systemClock } from '../../../async/clock.js';
import { CinderfsError } from '../../../errors.js';
import { hold, run } from '../../../sys/processes/run-command.js';
import { answerIn, refusalIn } from './brick-answers.js';

export type BrickVerb = 'connector' | 'connect' | 'disconnect' | 'check';

/** What `cinderfs-brick guard` says once it holds the locks. */
const HELD = '{}';
const PROGRAM = fileURLToPath(new URL('../../../../../bin/cinderfs-brick', import.meta.url));

/**
 * One step of cinderfs-brick: `request` on its stdin, its answer from its stdout. Its error codes become ours. Whatever it
 * started ends with it, at the deadline or when the signal aborts; what was begun then has to be undone.
 */
export async function brick(
  verb: BrickVerb,
  request: object,
  options: {
    readonly timeoutMs: number;
    readonly signal?: AbortSignal | undefined;
    readonly program?: string | undefined;
  },
): Promise<unknown> {
  const command = { program: options.program ?? PROGRAM, args: [verb], package: 'cinderfs' };
  const { timeoutMs, signal } = options;
  try {
    return answerIn(await run(command, { timeoutMs, signal, input: JSON.stringify(request) }));
  } catch (thrown) {
    throw refusedIn(thrown) ?? CinderfsError.from(thrown, 'connector_failed');
  }
}

/** Holds the locks of `request` (lock_names, lock_directories, lock_seconds) until the answer is called, or this process ends. */
export async function guard(
  request: object,
  options: { readonly timeoutMs: number; readonly program?: string | undefined },
): Promise<() => Promise<void>> {
  const command = { program: options.program ?? PROGRAM, args: ['guard'], package: 'cinderfs' };
  try {
    return await hold(command, {
      clock: systemClock,
      timeoutMs: options.timeoutMs,
      input: JSON.stringify(request),
      held: HELD,
    });
  } catch (thrown) {
    throw refusedIn(thrown) ?? CinderfsError.from(thrown, 'connector_failed');
  }
}

/** Whether cinderfs-brick answered that there is no such disk; one that is there and silent may speak again. */
export function isGone(thrown: unknown): boolean {
  const cause = CinderfsError.is(thrown) ? thrown.context.cause : undefined;
  return (cause as { code?: unknown } | undefined)?.code === 'disk_gone';
}

/** What cinderfs-brick itself said: it answers a failure in JSON and ends with status 1. */
function refusedIn(thrown: unknown): CinderfsError | undefined {
  const stdout = CinderfsError.is(thrown)
    ? (thrown.context.cause as { stdout?: unknown } | undefined)?.stdout
    : undefined;
  return typeof stdout === 'string' ? refusalIn(stdout) : undefined;
}
