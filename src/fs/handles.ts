/** Open files: handle number -> what the handle holds. Numbers are never reused while the process lives. */
import type { Lease } from '../attach/lease.js';
import type { CatalogImage } from '../cinder/types.js';
import { CinderfsError } from '../errors.js';
import type { Attributes } from './filesystem.js';
import type { ReaderClaim } from './reader-pool.js';
import type { Cursor } from './reader.js';

export type Handle = ImageHandle | TextHandle;

interface HandleBase {
  readonly number: number;
  /** As they were at open: what the handle shows for its whole life. */
  readonly attributes: Attributes;
}

/** An open image: holds its lease and its claim on the reader until release. */
export interface ImageHandle extends HandleBase {
  readonly is: 'image';
  readonly image: CatalogImage;
  readonly lease: Lease;
  /** Replaced when the connection was lost and made again. */
  through: Through;
}

/** What a handle reads through, and of which of its lease's connections that is. */
export interface Through {
  readonly connection: number;
  readonly claim: ReaderClaim;
  readonly cursor: Cursor;
}

/** An open virtual file: its text as it was at open. */
export interface TextHandle extends HandleBase {
  readonly is: 'text';
  readonly text: Buffer;
}

/** Omit over a union, member by member. */
type WithoutNumber<T> = T extends unknown ? Omit<T, 'number'> : never;

export class Handles {
  readonly #open = new Map<number, Handle>();
  #last = 0;

  get size(): number {
    return this.#open.size;
  }

  /** Every open image, oldest first. */
  images(): ImageHandle[] {
    return [...this.#open.values()].filter((handle) => handle.is === 'image');
  }

  /** The numbers of all open handles, oldest first. */
  numbers(): number[] {
    return [...this.#open.keys()];
  }

  /** Gives an open file its number. */
  add(handle: WithoutNumber<Handle>): Handle {
    this.#last += 1;
    const numbered: Handle = { ...handle, number: this.#last };
    this.#open.set(this.#last, numbered);
    return numbered;
  }

  has(number: number): boolean {
    return this.#open.has(number);
  }

  get(number: number): Handle {
    const handle = this.#open.get(number);
    if (handle === undefined) throw new CinderfsError('bad_handle', `handle ${number} is not open`);
    return handle;
  }

  find(number: number): Handle | undefined {
    return this.#open.get(number);
  }

  /** Takes the handle out; undefined when it was not open (a second release is harmless). */
  remove(number: number): Handle | undefined {
    const handle = this.#open.get(number);
    this.#open.delete(number);
    return handle;
  }

  /** The newest open handle of a node: an open image can be stat'ed after it has left the catalog. */
  findByNode(node: number): Handle | undefined {
    let found: Handle | undefined;
    for (const handle of this.#open.values()) if (handle.attributes.node === node) found = handle;
    return found;
  }
}
