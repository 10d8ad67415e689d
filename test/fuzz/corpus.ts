import fc from 'fast-check';
import { applyEdit, editsFor } from './edit.js';
import type { Target } from './target.js';

/** The inputs that others are made of: the seeds of a target, and what was found to reach new code. */
export class Corpus {
  readonly #target: Target;
  readonly #kept: Buffer[];

  constructor(target: Target) {
    this.#target = target;
    this.#kept = [...target.seeds];
  }

  get size(): number {
    return this.#kept.length;
  }

  add(input: Buffer): void {
    this.#kept.push(Buffer.from(input));
  }

  /** One of them, edited; every sixtieth or so is any bytes. */
  inputs(): fc.Arbitrary<Buffer> {
    const { seeds, words = [], repair = same } = this.#target;
    const edits = fc.array(fc.oneof(...seeds.slice(0, 8).map((seed) => editsFor(seed, words))), {
      maxLength: 6,
    });
    const edited = fc.tuple(fc.nat(), edits, fc.boolean()).map(([pick, list, repaired]) => {
      const start = this.#kept[pick % this.#kept.length] ?? Buffer.alloc(0);
      const input = list.reduce((bytes, edit) => applyEdit(bytes, edit, this.#kept, words), start);
      return repaired ? repair(input) : input;
    });
    const anything = fc.uint8Array({ maxLength: 512 }).map((bytes) => Buffer.from(bytes));
    return fc.oneof({ arbitrary: edited, weight: 60 }, { arbitrary: anything, weight: 1 });
  }
}

function same(input: Buffer): Buffer {
  return input;
}
