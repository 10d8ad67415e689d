import { mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { CatalogImage, CatalogSnapshot } from '../cinder/types.js';
import { reasonOf } from '../errors.js';
import { reviveImage } from '../fs/file-memo.js';
import type { Log } from '../log.js';

/**
 * The list of images as this mount last showed it, for the engine that comes after this one: what the kernel has looked
 * up must be found again although OpenStack may be away. Written before anybody learns of a change, which is why it is
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
      mkdirSync(path.dirname(this.#path), { recursive: true, mode: 0o755 });
      const text = JSON.stringify({ generation, at, images: [...images.values()] });
      writeFileSync(`${this.#path}.new`, text, { mode: 0o600 });
      renameSync(`${this.#path}.new`, this.#path);
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
      const kept = JSON.parse(readFileSync(this.#path, 'utf8')) as Omit<CatalogSnapshot, 'images'> & {
        readonly images: readonly CatalogImage[];
      };
      return { ...kept, images: new Map(kept.images.map((image) => [image.id, reviveImage(image)])) };
    } catch (error) {
      this.#log.warn({ path: this.#path, reason: reasonOf(error) }, 'no list of images was kept');
      return undefined;
    }
  }
}
