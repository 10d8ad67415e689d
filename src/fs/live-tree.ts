import type { Catalog } from '../cinder/types.js';
import type { Ownership } from './attributes.js';
import type { InvalidatedEntry } from './filesystem.js';
import { buildImageTree } from './image-tree.js';
import type { ImageTree } from './image-tree.js';
import { changedEntries } from './tree-changes.js';

type Changed = (entry: InvalidatedEntry) => void;

/** The image tree of the newest snapshot: rebuilt when its generation moves on, and only then. */
export class LiveTree {
  readonly #catalog: Catalog;
  readonly #owner: Ownership;
  readonly #listeners = new Set<Changed>();
  readonly #stop: () => void;
  #tree: ImageTree;

  constructor(catalog: Catalog, owner: Ownership) {
    this.#catalog = catalog;
    this.#owner = owner;
    this.#tree = buildImageTree(catalog.snapshot, owner);
    this.#stop = catalog.onChange(() => this.#follow());
  }

  get current(): ImageTree {
    this.#follow();
    return this.#tree;
  }

  /** Calls `listener` for each name that is gone or means something else now. */
  onChange(listener: Changed): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  close(): void {
    this.#stop();
    this.#listeners.clear();
  }

  #follow(): void {
    const { snapshot } = this.#catalog;
    if (snapshot.generation === this.#tree.generation) return;
    const before = this.#tree;
    this.#tree = buildImageTree(snapshot, this.#owner, before);
    this.#announce(changedEntries(before, this.#tree));
  }

  #announce(entries: readonly InvalidatedEntry[]): void {
    for (const entry of entries) for (const listener of this.#listeners) listener(entry);
  }
}
