import { closeSync, ftruncateSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { CinderfsError, reasonOf } from '../../errors.js';
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

/** Where a line stands in the journal. */
interface Line {
  readonly text: string;
  readonly at: number;
}

/**
 * Which files the kernel has open, for the engine that comes after this one. Written before an OPEN or RELEASE is
 * answered, so that the kernel never holds a file that the journal does not know. In the page cache or a tmpfs: a dead
 * process loses nothing of it, and a mount does not outlive a power cut anyway.
 *
 * A file that is closed is noted where it was noted as open: that takes no space, and a RELEASE cannot be refused. Where
 * an OPEN cannot be noted (`journal_failed`), the journal is what it was.
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
  #live = new Map<number, Line>();
  #fd = -1;
  /** Bytes. */
  #size = 0;
  #lines = 0;
  #last: number;

  private constructor(file: string, { records, last }: Kept) {
    this.earlier = records;
    this.last = last;
    this.#last = last;
    this.#path = file;
    for (const record of records) this.#live.set(record.fh, { text: opening(record), at: 0 });
    this.rewrite();
  }

  /** Opens the journal; `fresh` forgets what an earlier mount left there. */
  static async open(file: string, { fresh }: { readonly fresh: boolean }): Promise<OpenJournal> {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o755 });
    return new OpenJournal(file, fresh ? { records: [], last: 0 } : read(file));
  }

  opened(record: OpenRecord): void {
    if (this.#fd < 0) return;
    const line = { text: opening(record), at: this.#size };
    this.#guard(() => {
      try {
        writeWhole(this.#fd, line);
      } catch (error) {
        // Half a line would be read as one with what is written next.
        ftruncateSync(this.#fd, line.at);
        throw error;
      }
    });
    this.#size += Buffer.byteLength(line.text);
    this.#lines += 1;
    this.#live.set(record.fh, line);
    this.#last = Math.max(this.#last, record.fh);
    if (this.#lines > this.#live.size + SPARE_LINES) this.#compact();
  }

  closed(fh: number): void {
    const line = this.#live.get(fh);
    if (line === undefined || this.#fd < 0) return;
    this.#live.delete(fh);
    const length = Buffer.byteLength(line.text);
    writeWhole(this.#fd, {
      text: `${closing(fh)
        .trimEnd()
        .padEnd(length - 1)}\n`,
      at: line.at,
    });
  }

  /** Writes it anew with what is open now: aside, then renamed over the old one. */
  rewrite(): void {
    const aside = `${this.#path}.new`;
    const live = new Map<number, Line>();
    let text = closing(this.#last);
    for (const [fh, line] of this.#live) {
      live.set(fh, { text: line.text, at: Buffer.byteLength(text) });
      text += line.text;
    }
    const fd = this.#guard(() => writeAside(aside, text));
    renameSync(aside, this.#path);
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = fd;
    this.#live = live;
    this.#size = Buffer.byteLength(text);
    this.#lines = live.size;
  }

  /** The mount has ended: nobody comes after. Idempotent. */
  remove(): void {
    if (this.#fd < 0) return;
    closeSync(this.#fd);
    this.#fd = -1;
    rmSync(this.#path, { force: true });
  }

  /** Without space for another one the old one serves on; it is tried again as many lines later. */
  #compact(): void {
    try {
      this.rewrite();
    } catch {
      this.#lines = this.#live.size;
    }
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      const remedy = 'Check the run directory: space, permissions.';
      const why = `cannot note which files are open in ${this.#path}: ${reasonOf(cause)}`;
      throw new CinderfsError('journal_failed', why, { path: this.#path, remedy, cause });
    }
  }
}

function writeAside(file: string, text: string): number {
  const fd = openSync(file, 'w', 0o600);
  try {
    writeWhole(fd, { text, at: 0 });
    return fd;
  } catch (error) {
    closeSync(fd);
    rmSync(file, { force: true });
    throw error;
  }
}

/** A disk that is nearly full takes a part and fails for the rest. */
function writeWhole(fd: number, { text, at }: Line): void {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, at + done);
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
