import { SingleFlight } from '../async/single-flight.js';
import type { Extent } from './library.js';

/**
 * Bytes asked about at once. Where the image has an object map that is one request; where it has none it is one per
 * object, and a terabyte of those would outlast every deadline.
 */
const WINDOW_BYTES = 16 * 2 ** 30;

/** Where an image has data, asked window by window and kept: images never change. */
export class ExtentMap {
  readonly #size: number;
  readonly #ask: (offset: number, length: number) => Promise<readonly Extent[]>;
  readonly #known = new Map<number, readonly Extent[]>();
  readonly #asking = new SingleFlight<number, readonly Extent[]>();

  constructor(size: number, ask: (offset: number, length: number) => Promise<readonly Extent[]>) {
    this.#size = size;
    this.#ask = ask;
  }

  /** Next data or hole at or after `offset`; the size of the image when there is none. */
  async next(offset: number, whence: 'data' | 'hole'): Promise<number> {
    let at = offset;
    for (; at < this.#size; at = endOf(at)) {
      const found = nextIn(await this.#window(at), at, whence, Math.min(endOf(at), this.#size));
      if (found !== undefined) return found;
    }
    return this.#size;
  }

  async #window(at: number): Promise<readonly Extent[]> {
    const index = Math.floor(at / WINDOW_BYTES);
    return this.#known.get(index) ?? this.#asking.run(index, () => this.#learn(index));
  }

  async #learn(index: number): Promise<readonly Extent[]> {
    const from = index * WINDOW_BYTES;
    const extents = merged(await this.#ask(from, Math.min(WINDOW_BYTES, this.#size - from)));
    this.#known.set(index, extents);
    return extents;
  }
}

function endOf(at: number): number {
  return (Math.floor(at / WINDOW_BYTES) + 1) * WINDOW_BYTES;
}

/** Neighbours as one. */
function merged(extents: readonly Extent[]): readonly Extent[] {
  const runs: { offset: number; length: number }[] = [];
  for (const { offset, length } of extents) {
    const last = runs.at(-1);
    if (last !== undefined && last.offset + last.length === offset) last.length += length;
    else runs.push({ offset, length });
  }
  return runs;
}

/** Within a window that ends at `end`; undefined when there is none in it. */
function nextIn(
  extents: readonly Extent[],
  at: number,
  whence: 'data' | 'hole',
  end: number,
): number | undefined {
  const extent = extents.find(({ offset, length }) => offset + length > at);
  if (whence === 'data') return extent === undefined ? undefined : Math.max(at, extent.offset);
  if (extent === undefined || extent.offset > at) return at;
  const hole = extent.offset + extent.length;
  return hole < end ? hole : undefined;
}
