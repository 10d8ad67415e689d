import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CinderfsError, reasonOf } from '../../errors.js';
import type { Log } from '../../log.js';
import { asideOf, readKeptSync, removeKept, replaceKept } from '../../sys/files/kept-file.js';
import { parseJson } from './json.js';

/** How documents of one kind are kept. */
export interface RecordKind<T> {
  readonly directory: string;
  /** The document in a JSON value, or undefined when it is none. */
  readonly parse: (value: unknown) => T | undefined;
  readonly keyOf: (record: T) => string;
  readonly log: Log;
}

/** The directory of the attachment records, below the state directory. */
export const ATTACHMENTS = 'attachments';

/** Bytes; a hundred times what a record has. What is longer does not parse. */
export const RECORD_BYTES = 2 ** 20;

const KEY = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/**
 * Small JSON documents that survive a power cut: one file each, replaced whole (write aside, fsync, rename, fsync the
 * directory), mirrored in memory. A file that does not parse is moved aside and logged, never deleted.
 */
export class RecordStore<T> {
  readonly #kind: RecordKind<T>;
  readonly #records = new Map<string, T>();

  private constructor(kind: RecordKind<T>) {
    this.#kind = kind;
  }

  /** Reads what is there; `journal_failed` when the directory cannot be used. */
  static async open<T>(kind: RecordKind<T>): Promise<RecordStore<T>> {
    const store = new RecordStore(kind);
    await guard(kind.directory, () => store.#load());
    return store;
  }

  get(key: string): T | undefined {
    return this.#records.get(key);
  }

  list(): readonly T[] {
    return [...this.#records.values()];
  }

  async write(record: T): Promise<void> {
    const key = this.#kind.keyOf(record);
    const path = this.#pathOf(key);
    await guard(path, () => replaceKept(path, `${JSON.stringify(record)}\n`));
    this.#records.set(key, record);
  }

  async remove(key: string): Promise<void> {
    const path = this.#pathOf(key);
    await guard(path, () => removeKept(path));
    this.#records.delete(key);
  }

  async #load(): Promise<void> {
    await mkdir(this.#kind.directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#kind.directory)) {
      const path = join(this.#kind.directory, name);
      // A write that a crash cut short: the record it was to replace, if any, is still whole.
      if (name.endsWith(asideOf(''))) await rm(path, { force: true });
      else if (name.endsWith('.json')) await this.#read(path, name.slice(0, -'.json'.length));
    }
  }

  async #read(path: string, key: string): Promise<void> {
    const record = this.#kind.parse(parseJson(textOf(path)));
    // One under another name would be written, and removed, under its own.
    if (record !== undefined && this.#kind.keyOf(record) === key) {
      this.#records.set(key, record);
      return;
    }
    await rename(path, `${path}.unreadable`);
    this.#kind.log.error(
      { path: `${path}.unreadable` },
      'moved an unreadable record aside; look at it by hand',
    );
  }

  #pathOf(key: string): string {
    if (!KEY.test(key))
      throw new CinderfsError('journal_failed', `not a name for a record: ${JSON.stringify(key)}`);
    return join(this.#kind.directory, `${key}.json`);
  }
}

/** Empty for what is no file of ours: a directory, a symbolic link, a FIFO. */
function textOf(path: string): string {
  try {
    return readKeptSync(path, RECORD_BYTES)?.toString('utf8') ?? '';
  } catch (error) {
    // What the file system cannot read is not taken for a record that says nothing.
    if (['EIO', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return '';
  }
}

async function guard(path: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    throw CinderfsError.is(cause)
      ? cause
      : new CinderfsError('journal_failed', `cannot keep ${path}: ${reasonOf(cause)}`, { path, cause });
  }
}
