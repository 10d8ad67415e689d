import { closeSync, constants, openSync, rmSync, writeSync } from 'node:fs';
import { readKeptSync, replaceKeptSync } from '../../../sys/files/kept-file.js';
import { RESENT } from '../protocol/opcodes.js';

/** No deadline is longer (options open_timeout and read_timeout). */
const LONGEST_MS = 3_600_000;
const SPARE_LINES = 4096;
/** Bytes; a line has forty. */
const MOST = 64 * 2 ** 20;
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW;

/**
 * Since when requests have been held by those that stand in for an engine, in words that outlive each of them. A file
 * that cannot be read or written costs no more than longer waits.
 */
export class RequestAges {
  readonly #path: string;
  readonly #now: () => number;
  readonly #since = new Map<bigint, number>();
  #lines = 0;

  /** `now`: milliseconds of a clock that all processes of this host share. */
  constructor(path: string, now: () => number = hostMs) {
    this.#path = path;
    this.#now = now;
    for (const [unique, since] of read(path)) {
      const age = now() - since;
      if (age >= 0 && age < 2 * LONGEST_MS) this.#since.set(unique, since);
    }
    this.#rewrite();
  }

  /** How many milliseconds ago a request was seen first; from the first call on it counts. */
  age(unique: bigint): number {
    const request = unique & ~RESENT;
    const now = this.#now();
    const known = this.#since.get(request);
    if (known !== undefined) return now - known;
    this.#since.set(request, now);
    this.#append(request, now);
    return 0;
  }

  answered(unique: bigint): void {
    this.#since.delete(unique & ~RESENT);
  }

  #append(unique: bigint, since: number): void {
    this.#lines += 1;
    if (this.#lines > this.#since.size + SPARE_LINES) this.#rewrite();
    else attempt(() => append(this.#path, line(unique, since)));
  }

  #rewrite(): void {
    this.#lines = this.#since.size;
    const lines = [...this.#since].map(([unique, since]) => line(unique, since));
    attempt(() => replaceKeptSync(this.#path, lines.join('')));
  }
}

/** The mount has ended, or is served. */
export function removeRequestAges(path: string): void {
  rmSync(path, { force: true });
}

/** This clock is never set, unlike the time of day. */
function hostMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

function line(unique: bigint, since: number): string {
  return `${unique} ${since}\n`;
}

/** A last line that its writer's death cut short is left out. */
function read(path: string): readonly [bigint, number][] {
  const lines = attempt(() => textOf(path).split('\n').slice(0, -1)) ?? [];
  return lines
    .map((text) => /^(\d{1,20}) (\d{1,15})$/.exec(text))
    .filter((match) => match !== null)
    .map(([, unique = '', since = '']) => [BigInt(unique), Number(since)]);
}

function append(path: string, text: string): void {
  const fd = openSync(path, APPEND);
  try {
    writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

function textOf(path: string): string {
  return readKeptSync(path, MOST)?.toString('latin1') ?? '';
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
