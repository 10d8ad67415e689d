import { sleep, systemClock } from '../../async/clock.js';
import type { Invocation } from '../command-line/verb.js';

/** Milliseconds after which a person wants to know what a command waits for, and between two looks. */
const PATIENCE_MS = 2_000;
const LOOK_MS = 1_000;
const MAX_LINES = 10;

/**
 * Does `work`; while it takes its time, says on a terminal what it waits for, as often as that changes. Silent where
 * stderr is none: scripts get the outcome alone. `ask` may fail: then nothing is known, and nothing is said.
 */
export async function tellingWhy<T>(
  { stderr }: Pick<Invocation, 'stderr'>,
  ask: () => Promise<readonly string[]>,
  work: Promise<T>,
): Promise<T> {
  if (!process.stderr.isTTY) return work;
  const done = new AbortController();
  const telling = tell(stderr, ask, done.signal);
  try {
    return await work;
  } finally {
    done.abort();
    await telling;
  }
}

async function tell(
  stderr: (text: string) => void,
  ask: () => Promise<readonly string[]>,
  done: AbortSignal,
): Promise<void> {
  const pause = (ms: number): Promise<void> => sleep(systemClock, ms, done).catch(() => undefined);
  let said = '';
  await pause(PATIENCE_MS);
  while (!done.aborted) {
    const lines = await ask().catch(() => []);
    const text = lines.slice(0, MAX_LINES).join('\n  ');
    const more = lines.length > MAX_LINES ? `\n  and ${lines.length - MAX_LINES} more` : '';
    if (text !== '' && text !== said && !isAborted(done)) stderr(`waiting for:\n  ${text}${more}\n`);
    said = text;
    await pause(LOOK_MS);
  }
}

/** It may have changed while something was awaited. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
