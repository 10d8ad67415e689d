import type {
  Catalog,
  CatalogHealth,
  CatalogImage,
  CatalogSnapshot,
  WantedImage,
} from '../../src/cinder/contract/catalog.js';

type Listener = (snapshot: CatalogSnapshot, previous: CatalogSnapshot) => void;

/** A catalog whose images the test sets; counts the refreshes it was asked for. */
export class FakeCatalog implements Catalog {
  snapshot: CatalogSnapshot;
  refreshes = 0;
  readonly wanted: WantedImage[] = [];
  readonly health: CatalogHealth = { lastError: undefined, failingSince: undefined, skipped: 0, refused: 0 };
  /** What the next refresh will find; the test's way to let an image appear. */
  upstream: readonly CatalogImage[];
  readonly #listeners = new Set<Listener>();

  constructor(images: readonly CatalogImage[]) {
    this.upstream = images;
    this.snapshot = snapshotOf(1, images);
  }

  refresh(): Promise<CatalogSnapshot> {
    this.refreshes += 1;
    this.set(this.upstream);
    return Promise.resolve(this.snapshot);
  }

  /** As refresh(): what is asked for is upstream or is not. */
  async find(wanted: WantedImage): Promise<void> {
    this.wanted.push(wanted);
    await this.refresh();
  }

  /** A refresh happened and found these. */
  set(images: readonly CatalogImage[]): void {
    const previous = this.snapshot;
    this.upstream = images;
    this.snapshot = snapshotOf(previous.generation + 1, images);
    for (const listener of this.#listeners) listener(this.snapshot, previous);
  }

  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  get listeners(): number {
    return this.#listeners.size;
  }
}

function snapshotOf(generation: number, images: readonly CatalogImage[]): CatalogSnapshot {
  return { generation, at: generation * 1000, images: new Map(images.map((image) => [image.id, image])) };
}

/** An image as the catalog has it; whatever the test does not care about is filled in. */
export function fakeImage(fields: Partial<CatalogImage> & Pick<CatalogImage, 'id'>): CatalogImage {
  return {
    name: `image ${fields.id}`,
    size: 1,
    diskFormat: 'raw',
    containerFormat: 'bare',
    createdAt: new Date('2024-01-01T00:00:00Z'),
    updatedAt: new Date('2024-02-03T04:05:06Z'),
    hashAlgorithm: 'sha512',
    hashValue: 'c0ffee',
    volumeId: `volume-${fields.id}`,
    storeId: undefined,
    multiattach: true,
    volumeGib: 1,
    ...fields,
  };
}
