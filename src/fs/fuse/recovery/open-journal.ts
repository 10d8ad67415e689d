import { closeSync, ftruncateSync, renameSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { CinderfsError, reasonOf } from '../../../errors.js';
import { asideOf, createKeptSync, writeWholeSync } from '../../../sys/files/kept-file.js';
import { closing, opening, readOpenRecords, type KeptRecords, type OpenRecord } from './open-record.js';

export type { OpenRecord } from './open-record.js';

/** Lines beyond those of files still open, before the journal is written anew. */
const SPARE_LINES = 4096;

/** Where a line stands in the journal. */
interface Line {
  readonly text: string;
  readonly at: number;
}

/** Room for the line of a file that may be opened soon, which another thread then writes. */
export interface Reservation extends Line {
  readonly fd: number;
  /** Of which file it is room in: the journal is written anew at times. */
  readonly edition: number;
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
  /** Lines that the death of an earlier engine, or another writer, left unreadable; they were left out. */
  readonly damaged: number;
  readonly #path: string;
  #live = new Map<number, Line>();
  #fd = -1;
  /** Bytes. */
  #size = 0;
  #lines = 0;
  #last: number;
  /** A close could not be noted: what the file says is open may not be. */
  #stale = false;
  /** How often it was written anew. */
  #edition = 0;
  #onRewrite: () => boolean = () => true;

  private constructor(file: string, { records, last, damaged }: KeptRecords) {
    this.earlier = records;
    this.last = last;
    this.damaged = damaged;
    this.#last = last;
    this.#path = file;
    for (const record of records) this.#live.set(record.fh, { text: opening(record), at: 0 });
    this.rewrite();
  }

  /** Opens the journal; `fresh` forgets what an earlier mount left there. */
  static async open(file: string, { fresh }: { readonly fresh: boolean }): Promise<OpenJournal> {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o755 });
    return new OpenJournal(file, fresh ? { records: [], last: 0, damaged: 0 } : readOpenRecords(file));
  }

  opened(record: OpenRecord): void {
    if (this.#fd < 0) return;
    this.#mend();
    const text = opening(record);
    this.#live.set(record.fh, { text, at: this.#append(text) });
    this.#last = Math.max(this.#last, record.fh);
    if (this.#lines > this.#live.size + SPARE_LINES) this.#compact();
  }

  /**
   * Makes room for the line of a file that is not open yet: until its line is written there, the journal says that it is
   * closed. Undefined where there is no journal any more, or one that has to be written anew.
   */
  reserve(record: OpenRecord): Reservation | undefined {
    if (this.#fd < 0 || this.#stale) return undefined;
    const text = opening(record);
    const at = this.#append(blank(record.fh, text));
    this.#last = Math.max(this.#last, record.fh);
    return { fd: this.#fd, edition: this.#edition, text, at };
  }

  /**
   * The line of a reservation was written; where it may not have been, or the journal was written anew since, all of the
   * journal is written anew. Never throws.
   */
  filled(record: OpenRecord, reservation: Reservation | undefined): void {
    if (this.#fd < 0) return;
    const isHere = reservation?.edition === this.#edition;
    this.#live.set(record.fh, { text: opening(record), at: isHere ? reservation.at : 0 });
    if (isHere) return;
    this.#stale = true;
    this.#mend();
  }

  /**
   * `listener` is called before the journal is written anew: reservations are void then. False: one of them is being
   * written to.
   */
  onRewrite(listener: () => boolean): void {
    this.#onRewrite = listener;
  }

  /** Never throws: what cannot be noted now is noted with the next open or close. */
  closed(fh: number): void {
    const line = this.#live.get(fh);
    if (line === undefined || this.#fd < 0) return;
    this.#live.delete(fh);
    if (this.#stale) {
      this.#mend();
      return;
    }
    try {
      writeWholeSync(this.#fd, Buffer.from(blank(fh, line.text)), line.at);
    } catch {
      this.#stale = true;
      this.#mend();
    }
  }

  /** Writes it anew with what is open now: aside, then renamed over the old one. */
  rewrite(): void {
    const idle = this.#onRewrite();
    const live = new Map<number, Line>();
    let text = closing(this.#last);
    for (const [fh, line] of this.#live) {
      live.set(fh, { text: line.text, at: Buffer.byteLength(text) });
      text += line.text;
    }
    const fd = this.#guard(() => replaceOpen(this.#path, text));
    // A thread that is about to write to it must not write to another file of that number.
    if (this.#fd >= 0 && idle) closeQuietly(this.#fd);
    this.#edition += 1;
    this.#fd = fd;
    this.#stale = false;
    this.#live = live;
    this.#size = Buffer.byteLength(text);
    this.#lines = live.size;
  }

  /** The mount has ended: there is no successor. Idempotent. */
  remove(): void {
    if (this.#fd < 0) return;
    closeQuietly(this.#fd);
    this.#fd = -1;
    rmSync(this.#path, { force: true });
  }

  /** Appends a line; where it stands. Throws `journal_failed`. */
  #append(text: string): number {
    const at = this.#size;
    const bytes = Buffer.from(text);
    this.#guard(() => {
      try {
        writeWholeSync(this.#fd, bytes, at);
      } catch (error) {
        // Half a line would be read as one with what is written next.
        ftruncateSync(this.#fd, at);
        throw error;
      }
    });
    this.#size += bytes.length;
    this.#lines += 1;
    return at;
  }

  /** Without space for another one the old one serves on; it is tried again as many lines later. */
  #compact(): void {
    try {
      this.rewrite();
    } catch {
      this.#lines = this.#live.size;
    }
  }

  /** The file says that something is open which is not: it is written anew as soon as that can be done. */
  #mend(): void {
    if (this.#stale) this.#compact();
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

/** What takes the place of `text` when its file is closed. */
function blank(fh: number, text: string): string {
  return `${closing(fh)
    .trimEnd()
    .padEnd(Buffer.byteLength(text) - 1)}\n`;
}

/** Replaces `path` by a file that stays open. */
function replaceOpen(path: string, text: string): number {
  const aside = asideOf(path);
  const fd = createKeptSync(aside);
  try {
    writeWholeSync(fd, Buffer.from(text), 0);
    renameSync(aside, path);
    return fd;
  } catch (error) {
    closeQuietly(fd);
    rmSync(aside, { force: true });
    throw error;
  }
}

/** A descriptor that cannot be closed is closed (close(2)): what failed was a write that was told of. */
function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // See above.
  }
}
