import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CinderfsError, reasonOf } from '../../errors.js';
import type { Log } from '../../log.js';

/** How documents of one kind are kept. */
export interface RecordKind<T> {
  readonly directory: string;
  /** The document in a JSON value, or undefined when it is none. */
  readonly parse: (value: unknown) => T | undefined;
  readonly keyOf: (record: T) => string;
  readonly log: Log;
}

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
    const aside = join(this.#kind.directory, `.${key}.new`);
    await guard(path, async () => {
      const file = await open(aside, 'w', 0o600);
      try {
        await file.writeFile(`${JSON.stringify(record)}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(aside, path);
      await this.#syncDirectory();
    });
    this.#records.set(key, record);
  }

  async remove(key: string): Promise<void> {
    const path = this.#pathOf(key);
    await guard(path, async () => {
      await rm(path, { force: true });
      await this.#syncDirectory();
    });
    this.#records.delete(key);
  }

  async #load(): Promise<void> {
    await mkdir(this.#kind.directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#kind.directory)) {
      const path = join(this.#kind.directory, name);
      // A write that a crash cut short: the record it was to replace, if any, is still whole.
      if (name.startsWith('.') && name.endsWith('.new')) await rm(path, { force: true });
      else if (name.endsWith('.json')) await this.#read(path);
    }
  }

  async #read(path: string): Promise<void> {
    const record = this.#kind.parse(parseJson(await readFile(path, 'utf8')));
    if (record !== undefined) {
      this.#records.set(this.#kind.keyOf(record), record);
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

  async #syncDirectory(): Promise<void> {
    const directory = await open(this.#kind.directory, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
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
