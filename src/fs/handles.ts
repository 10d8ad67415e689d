/** Open files: handle number -> what the handle holds. Numbers are never reused while the process lives. */
import type { Lease } from '../attach/contract/lease.js';
import type { CatalogImage } from '../cinder/contract/catalog.js';
import { CinderfsError } from '../errors.js';
import type { Attributes } from './contract/filesystem.js';
import type { ReadPath } from './read-path.js';

export type Handle = ImageHandle | TextHandle;

interface HandleBase {
  readonly number: number;
  /** As they were at open: what the handle shows for its whole life. */
  readonly attributes: Attributes;
}

/** An open image: holds its lease, and its claim on a reader if it needed one, until release. */
export interface ImageHandle extends HandleBase {
  readonly is: 'image';
  readonly image: CatalogImage;
  readonly lease: Lease;
  /** Replaced when the connection was lost and made again. */
  through: ReadPath;
  /** A transport could not read the source: it is not worth lingering on. */
  unreadable: boolean;
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
  /** Handles of each node, newest last; those that were closed before a newer one stay until that is closed. */
  readonly #ofNode = new Map<number, Handle[]>();
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
    const { node } = numbered.attributes;
    const known = this.#ofNode.get(node);
    if (known === undefined) this.#ofNode.set(node, [numbered]);
    else known.push(numbered);
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
    if (handle !== undefined) this.#forget(handle.attributes.node);
    return handle;
  }

  /** The newest open handle of a node: an open image can be stat'ed after it has left the catalog. */
  findByNode(node: number): Handle | undefined {
    return this.#ofNode.get(node)?.at(-1);
  }

  /** Each handle is taken out once: opening and closing any number costs no more than that. */
  #forget(node: number): void {
    const handles = this.#ofNode.get(node) ?? [];
    for (let last = handles.at(-1); last !== undefined && !this.#open.has(last.number); last = handles.at(-1))
      handles.pop();
    if (handles.length === 0) this.#ofNode.delete(node);
  }
}
