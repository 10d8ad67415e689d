import { rmdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { CatalogSnapshot } from '../cinder/contract/catalog.js';
import { reasonOf } from '../errors.js';
import { keptImage } from '../fs/tree/kept-image.js';
import type { Log } from '../log.js';
import { keepDirectory } from '../sys/files/kept-directory.js';
import { readKeptSync, replaceKeptSync } from '../sys/files/kept-file.js';

/** Bytes: what a list of images has at the very most (catalog pages are bounded likewise). */
const MOST = 256 * 2 ** 20;

/**
 * The list of images as this mount last showed it, for the engine that comes after this one: what the kernel has looked
 * up must be found again although OpenStack may be away. Written before any caller learns of a change, which is why it is
 * written synchronously; a change is rare.
 */
export class ImageFile {
  readonly #path: string;
  readonly #log: Log;

  constructor(file: string, log: Log) {
    this.#path = file;
    this.#log = log;
  }

  write({ generation, at, images }: CatalogSnapshot): void {
    try {
      keepDirectory({ setting: 'run_dir', path: path.dirname(this.#path), mode: 0o755 });
      replaceKeptSync(this.#path, JSON.stringify({ generation, at, images: [...images.values()] }));
    } catch (error) {
      this.#log.warn(
        { path: this.#path, reason: reasonOf(error) },
        'the list of images cannot be kept; a restarted engine will have to ask OpenStack for it',
      );
    }
  }

  /** With its folder, where nothing else is in that. */
  remove(): void {
    rmSync(this.#path, { force: true });
    try {
      rmdirSync(path.dirname(this.#path));
    } catch {
      // Not there, or something of the connectors is left: theirs to remove.
    }
  }

  /** Undefined when there is none that can be read. */
  read(): CatalogSnapshot | undefined {
    try {
      return snapshotIn(JSON.parse(readKeptSync(this.#path, MOST)?.toString('utf8') ?? ''));
    } catch (error) {
      this.#log.warn({ path: this.#path, reason: reasonOf(error) }, 'no list of images was kept');
      return undefined;
    }
  }
}

/** Throws for what is no list of images. Everything that an open file depends on is there and of its kind. */
function snapshotIn(value: unknown): CatalogSnapshot {
  const { generation, at, images } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (!isCount(generation) || !isCount(at) || !Array.isArray(images))
    throw new Error('it is no list of images');
  const kept = images.map((entry: unknown) => {
    const image = keptImage(entry);
    if (image === undefined) throw new Error('it holds what is no image');
    return [image.id, image] as const;
  });
  return { generation, at, images: new Map(kept) };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
