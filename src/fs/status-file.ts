import type { Clock } from '../async/clock.js';
import { virtualFileAttributes } from './attributes.js';
import type { Ownership } from './attributes.js';
import type { Attributes } from './filesystem.js';

/** `/.cinderfs/status`: JSON that is made when it is opened, and stays as it is for that handle. */
export class StatusFile {
  readonly #text: () => string;
  readonly #clock: Clock;
  readonly #owner: Ownership;
  #last: Buffer = Buffer.alloc(0);

  constructor(text: () => string, clock: Clock, owner: Ownership) {
    this.#text = text;
    this.#clock = clock;
    this.#owner = owner;
  }

  /** The status of this moment, ending in a newline. */
  snapshot(): Buffer {
    const text = Buffer.from(`${this.#text().trimEnd()}\n`);
    // A change of size is what makes every kernel drop the pages it kept of the last text (kernel_cache, F7).
    this.#last = text.length === this.#last.length ? Buffer.concat([text, Buffer.from('\n')]) : text;
    return this.#last;
  }

  attributes(node: number, size: number): Attributes {
    return virtualFileAttributes(node, size, this.#clock.wall(), this.#owner);
  }
}
