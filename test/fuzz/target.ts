import { inspect } from 'node:util';
import { CinderfsError, ERROR_KINDS } from '../../src/errors.js';
import { ConnectionLost } from '../../src/nbd/pending.js';
import { silentLog, type Log } from '../../src/log.js';
import type { Undo } from '../support/undo.js';

/** A place where bytes of others come in. */
export interface Target {
  readonly name: string;
  /** Valid inputs, made by our own encoders where there are any. */
  readonly seeds: readonly Buffer[];
  /** Words of the language, for inputs that are text. */
  readonly words?: readonly string[];
  /** Puts right what nearly every edit breaks (a length, a checksum), for half of the inputs. */
  readonly repair?: (input: Buffer) => Buffer;
  /** Sets up what all runs share. What it answers takes one input, and throws where that shows a bug. */
  readonly open: (undo: Undo) => Promise<Run> | Run;
}

export type Run = (input: Buffer) => Promise<void> | void;

/** Passes errors that a caller is meant to meet: any code of the table but `internal`. Throws all others on. */
export function allow(thrown: unknown): void {
  if (thrown instanceof ConnectionLost) return;
  if (!CinderfsError.is(thrown) || thrown.code === 'internal' || !Object.hasOwn(ERROR_KINDS, thrown.code))
    throw thrown;
  const line = thrown.toLine();
  if (line.length > 16_384) throw new Error(`an error of ${line.length} characters`, { cause: thrown });
  if (isEngineText(thrown.message)) throw new Error(`a bug in words: ${line}`, { cause: thrown });
}

/** Words of V8 and Node for a bug of the program: no sentence for an operator. */
export function isEngineText(text: string): boolean {
  return /Cannot (?:read|set|convert|destructure|mix)|is not (?:a function|iterable|a constructor)|is out of range|buffer bounds|Invalid (?:array|time|string|typed|count)|The ".*" argument|Maximum call stack|must be (?:of type|an instance)/.test(
    text,
  );
}

/** A log for a target: `check` throws where a line tells of a bug that was caught. */
export function watchedLog(): { readonly log: Log; readonly check: () => void } {
  const bugs: string[] = [];
  const look = (fields: object, message: string): void => {
    const text = `${message} ${inspect(fields, { depth: 4 })}`;
    if (isEngineText(text) || text.includes("code: 'internal'")) bugs.push(text);
  };
  const log: Log = { ...silentLog, debug: look, info: look, warn: look, error: look };
  return {
    log,
    check() {
      const [bug] = bugs.splice(0);
      if (bug !== undefined) throw new Error(`a bug in the log: ${bug}`);
    },
  };
}

/** The answer of `work`; undefined where it failed as it may. */
export function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    allow(error);
    return undefined;
  }
}

/** The same for what takes its time. */
export async function attemptLater<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    allow(error);
    return undefined;
  }
}
