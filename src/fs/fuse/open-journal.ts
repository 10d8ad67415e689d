import { closeSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { FileMemo } from '../filesystem.js';
import { systemCode } from './errno.js';

/** An open file as the kernel knows it, in words that outlive this process. */
export interface OpenRecord {
  readonly fh: number;
  readonly node: number;
  /** The OPEN that made it, as a decimal: when it comes again, its answer was lost and is given again. */
  readonly unique: string;
  /** The kernel reads it by itself through this backing file, which the mount keeps. */
  readonly backingId?: number | undefined;
  readonly memo: FileMemo;
}

/** Lines beyond those of files still open, before the journal is written anew. */
const SPARE_LINES = 4096;

/**
 * Which files the kernel has open, for the engine that comes after this one. Appended before an OPEN or RELEASE is
 * answered, so that the kernel never holds a file that the journal does not know. In the page cache or a tmpfs: a dead
 * process loses nothing of it, and a mount does not outlive a power cut anyway.
 */
export class OpenJournal {
  /** What the engine before left open. */
  readonly earlier: readonly OpenRecord[];
  /**
   * The highest number that an earlier engine gave, 0 for none. A RELEASE that was not answered comes again, whatever
   * was opened since: a number must never be given twice.
   */
  readonly last: number;
  readonly #path: string;
  readonly #live: Map<number, string>;
  #fd: number;
  #lines = 0;

  #last: number;

  private constructor(file: string, { records, last }: Kept) {
    this.earlier = records;
    this.last = last;
    this.#last = last;
    this.#path = file;
    this.#live = new Map(records.map((record) => [record.fh, opening(record)]));
    this.#fd = -1;
    this.rewrite();
  }

  /** Opens the journal; `fresh` forgets what an earlier mount left there. */
  static async open(file: string, { fresh }: { readonly fresh: boolean }): Promise<OpenJournal> {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o755 });
    return new OpenJournal(file, fresh ? { records: [], last: 0 } : read(file));
  }

  opened(record: OpenRecord): void {
    const line = opening(record);
    this.#live.set(record.fh, line);
    this.#last = Math.max(this.#last, record.fh);
    this.#append(line);
  }

  closed(fh: number): void {
    if (this.#live.delete(fh)) this.#append(closing(fh));
  }

  /** Writes it anew with what is open now: aside, then renamed over the old one. */
  rewrite(): void {
    const fd = openSync(`${this.#path}.new`, 'w', 0o600);
    writeSync(fd, [closing(this.#last), ...this.#live.values()].join(''));
    renameSync(`${this.#path}.new`, this.#path);
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = fd;
    this.#lines = this.#live.size;
  }

  /** The mount has ended: nobody comes after. Idempotent. */
  remove(): void {
    if (this.#fd < 0) return;
    closeSync(this.#fd);
    this.#fd = -1;
    rmSync(this.#path, { force: true });
  }

  #append(line: string): void {
    if (this.#fd < 0) return;
    writeSync(this.#fd, line);
    this.#lines += 1;
    if (this.#lines > this.#live.size + SPARE_LINES) this.rewrite();
  }
}

function opening(record: OpenRecord): string {
  return `${JSON.stringify(record)}\n`;
}

function closing(fh: number): string {
  return `${JSON.stringify({ closed: fh })}\n`;
}

interface Kept {
  readonly records: readonly OpenRecord[];
  readonly last: number;
}

/** What is open according to `file`. A last line cut short by the writer's death was never acted upon. */
function read(file: string): Kept {
  const open = new Map<number, OpenRecord>();
  let last = 0;
  for (const line of textOf(file).split('\n').slice(0, -1)) {
    const entry = JSON.parse(line) as OpenRecord | { readonly closed: number };
    last = Math.max(last, 'closed' in entry ? entry.closed : entry.fh);
    if ('closed' in entry) open.delete(entry.closed);
    else open.set(entry.fh, entry);
  }
  return { records: [...open.values()], last };
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return '';
    throw error;
  }
}
