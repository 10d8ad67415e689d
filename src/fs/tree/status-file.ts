import type { Clock } from '../../async/clock.js';
import { virtualFileAttributes } from './attributes.js';
import type { Ownership } from './attributes.js';
import type { Attributes } from '../contract/filesystem.js';

/** Milliseconds that a text serves all opens: making one takes as long as there are open files. */
const FRESH_MS = 250;

/**
 * `/.cinderfs/status`: JSON that is made when it is opened, and stays as it is for that handle. Opens at
 * nearly the same time share one text, as long as no image is opened or closed.
 */
export class StatusFile {
  readonly #text: () => string;
  readonly #clock: Clock;
  readonly #owner: Ownership;
  #last: Buffer = Buffer.alloc(0);
  #madeAt = -Infinity;
  #madeOf = -1;
  readonly #changes: () => number;

  /** `changes` counts what a text must not be older than. */
  constructor(text: () => string, changes: () => number, clock: Clock, owner: Ownership) {
    this.#text = text;
    this.#changes = changes;
    this.#clock = clock;
    this.#owner = owner;
  }

  /** The status of this moment or the one before, ending in a newline. */
  snapshot(): Buffer {
    const now = this.#clock.now();
    const changes = this.#changes();
    if (now - this.#madeAt < FRESH_MS && changes === this.#madeOf) return this.#last;
    this.#madeAt = now;
    this.#madeOf = changes;
    const text = Buffer.from(`${this.#text().trimEnd()}\n`);
    // A change of size is what makes every kernel drop the pages it kept of the last text (kernel_cache, F7).
    this.#last = text.length === this.#last.length ? Buffer.concat([text, Buffer.from('\n')]) : text;
    return this.#last;
  }

  attributes(node: number, size: number): Attributes {
    return virtualFileAttributes(node, size, this.#clock.wall(), this.#owner);
  }
}
