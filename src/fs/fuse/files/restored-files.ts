import { CinderfsError } from '../../../errors.js';
import type { Filesystem, OpenFile } from '../../contract/filesystem.js';
import type { OpenFiles } from './open-files.js';
import type { Opened } from './opened.js';
import type { OpenJournal, OpenRecord } from '../recovery/open-journal.js';
import { giveBack } from './give-back.js';
import { RESENT } from '../protocol/opcodes.js';

export interface EarlierFilesParts {
  readonly journal: OpenJournal | undefined;
  readonly filesystem: Pick<Filesystem, 'reopen' | 'readFailed' | 'release'>;
  readonly files: OpenFiles;
}

interface Earlier {
  readonly record: OpenRecord;
  rebuilding: Promise<Opened> | undefined;
}

/**
 * Files that an earlier engine of this mount had open and that this one has not rebuilt yet. The kernel reads and
 * closes them by the numbers it was given then. One that cannot be rebuilt fails its reads, each of which tries again,
 * and no other one's.
 */
export class RestoredFiles {
  readonly #parts: EarlierFilesParts;
  readonly #files = new Map<number, Earlier>();
  /** The `fh` that each OPEN was, or would have been, answered with. */
  readonly #requests = new Map<bigint, number>();

  constructor(parts: EarlierFilesParts) {
    this.#parts = parts;
    for (const record of parts.journal?.earlier ?? []) {
      this.#files.set(record.fh, { record, rebuilding: undefined });
      this.#requests.set(BigInt(record.unique), record.fh);
    }
  }

  /** Rebuilds all; resolves when each is rebuilt or has failed. */
  async rebuild(): Promise<void> {
    await Promise.allSettled([...this.#files.keys()].map((fh) => this.get(fh)));
  }

  /** The file behind `fh`, rebuilt now if it must be; undefined when no earlier engine had it open. */
  async get(fh: number): Promise<Opened | undefined> {
    const earlier = this.#files.get(fh);
    if (earlier === undefined) return this.#parts.files.get(fh);
    earlier.rebuilding ??= this.#rebuild(earlier);
    return earlier.rebuilding;
  }

  /** The file that this very OPEN made before: its answer was lost with the engine that gave it. */
  async openedBy(unique: bigint): Promise<Opened | undefined> {
    const request = unique & ~RESENT;
    const fh = this.#requests.get(request);
    this.#requests.delete(request);
    return fh === undefined ? undefined : this.get(fh);
  }

  /** The kernel closed `fh`. One that is being rebuilt is released when it is. */
  close(fh: number): void {
    const earlier = this.#files.get(fh);
    if (earlier === undefined || !this.#files.delete(fh)) return;
    if (earlier.rebuilding === undefined) this.#parts.files.forget(earlier.record);
  }

  /** The mount has ended: what is being rebuilt is released when it is. */
  abandon(): void {
    for (const fh of [...this.#files.keys()]) this.close(fh);
  }

  async #rebuild(earlier: Earlier): Promise<Opened> {
    const { record } = earlier;
    const { filesystem, files } = this.#parts;
    let file: OpenFile | undefined;
    try {
      file = await this.#reopen(record);
      const opened = await files.rebuild(record, file);
      // Closed meanwhile: no other code will close it.
      if (!this.#files.delete(record.fh)) this.#release(record.fh);
      return opened;
    } catch (error) {
      if (file !== undefined) giveBack(filesystem, file, error);
      earlier.rebuilding = undefined;
      if (!this.#files.has(record.fh)) files.forget(record);
      throw error;
    }
  }

  async #reopen({ memo }: OpenRecord): Promise<OpenFile> {
    const { filesystem } = this.#parts;
    if (filesystem.reopen === undefined)
      throw new CinderfsError('bad_handle', 'this file system opens nothing again');
    return filesystem.reopen(memo);
  }

  #release(fh: number): void {
    const file = this.#parts.files.remove(fh);
    if (file !== undefined) this.#parts.filesystem.release(file.handle);
  }
}
