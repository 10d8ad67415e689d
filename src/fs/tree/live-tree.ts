import { isDeepStrictEqual } from 'node:util';
import type { Catalog, CatalogImage, CatalogSnapshot } from '../../cinder/contract/catalog.js';
import type { Ownership } from './attributes.js';
import type { InvalidatedEntry } from '../contract/filesystem.js';
import { buildImageTree, type ImageTree } from './image-tree.js';
import { changedEntries } from './tree-changes.js';

type Changed = (entry: InvalidatedEntry) => void;

/**
 * The image tree of the newest snapshot: rebuilt when its generation moves on, and only if an image came, went or
 * changed. Most refreshes find nothing new, and 10,000 images take a tenth of a second to build.
 */
export class LiveTree {
  readonly #catalog: Catalog;
  readonly #owner: Ownership;
  readonly #listeners = new Set<Changed>();
  readonly #stop: () => void;
  #snapshot: CatalogSnapshot;
  #tree: ImageTree;

  constructor(catalog: Catalog, owner: Ownership) {
    this.#catalog = catalog;
    this.#owner = owner;
    this.#snapshot = catalog.snapshot;
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
    const last = this.#snapshot;
    if (snapshot.generation === last.generation) return;
    this.#snapshot = snapshot;
    if (sameImages(snapshot.images, last.images)) return;
    const before = this.#tree;
    this.#tree = buildImageTree(snapshot, this.#owner, before);
    this.#announce(changedEntries(before, this.#tree));
  }

  #announce(entries: readonly InvalidatedEntry[]): void {
    for (const entry of entries) for (const listener of this.#listeners) listener(entry);
  }
}

type Images = ReadonlyMap<string, CatalogImage>;

function sameImages(now: Images, before: Images): boolean {
  if (now.size !== before.size) return false;
  for (const [id, image] of now) if (!isDeepStrictEqual(image, before.get(id))) return false;
  return true;
}
