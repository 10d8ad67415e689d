import type { DirectoryEntry } from '../../contract/filesystem.js';

/** An entry with its name as the kernel gets it. */
export interface ListedEntry {
  readonly name: Buffer;
  readonly entry: DirectoryEntry;
}

/** Snapshots that are kept for readers of older ones: a list of images changes about once a minute at most. */
const KEPT = 16;

/**
 * Listings that are being read, each once for all its readers: thousands of open directories take the memory of one.
 * The file system gives the same array for as long as nothing changed. A holder of a listing that has been given up goes
 * on in the newest one, at the same place.
 */
export class DirectorySnapshots {
  readonly #snapshots = new Map<readonly DirectoryEntry[], readonly ListedEntry[]>();

  /** The snapshot of these entries, made if it is not there. */
  keep(entries: readonly DirectoryEntry[]): void {
    const known = this.#snapshots.get(entries);
    // The one that was asked for last is given up last.
    this.#snapshots.delete(entries);
    this.#snapshots.set(entries, known ?? entries.map((entry) => ({ entry, name: Buffer.from(entry.name) })));
    for (const oldest of this.#snapshots.keys()) {
      if (this.#snapshots.size <= KEPT) return;
      this.#snapshots.delete(oldest);
    }
  }

  of(entries: readonly DirectoryEntry[]): readonly ListedEntry[] | undefined {
    return this.#snapshots.get(entries);
  }

  get size(): number {
    return this.#snapshots.size;
  }
}
