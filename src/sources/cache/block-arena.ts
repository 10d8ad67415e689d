/**
 * One block of image data on its way from its source, or settled. Its memory is used again once it has no pin: the
 * cache pins what it keeps, a request what it fills, a reader what it is about to copy.
 *
 * Invariant: the memory of a block is written by its one request, before `filled` settles, and never while a holder
 * reads it.
 */
export class Block {
  /** Its number in the image. */
  readonly number: number;
  readonly length: number;
  /** Settles when its request does. */
  filled: Promise<void> = Promise.resolve();
  readonly #arena: BlockArena;
  #memory: Buffer | undefined;
  #pins = 0;

  constructor(arena: BlockArena, number: number, length: number) {
    this.#arena = arena;
    this.number = number;
    this.length = length;
  }

  /** The block's bytes. Only for holders of a pin. */
  get bytes(): Buffer {
    this.#memory ??= this.#arena.take();
    return this.#memory.subarray(0, this.length);
  }

  pin(): this {
    this.#pins += 1;
    return this;
  }

  unpin(): void {
    this.#pins -= 1;
    if (this.#pins > 0 || this.#memory === undefined) return;
    this.#arena.give(this.#memory);
    this.#memory = undefined;
  }
}

/**
 * Memory for blocks, used over and over: a fresh buffer costs 256 page faults per MiB and garbage collection on top,
 * together as much CPU time as the read itself (measured).
 */
export class BlockArena {
  readonly #blockSize: number;
  readonly #limit: number;
  readonly #evict: () => boolean;
  readonly #free: Buffer[] = [];
  #allocated = 0;

  /** Keeps `limit` blocks at most. `evict` makes the cache let go of one; false when it has none. */
  constructor(blockSize: number, limit: number, evict: () => boolean) {
    this.#blockSize = blockSize;
    this.#limit = limit;
    this.#evict = evict;
  }

  /** Bytes of blocks that are pinned, by the cache or by a reader. */
  get bytesInUse(): number {
    return (this.#allocated - this.#free.length) * this.#blockSize;
  }

  /** Memory of one block; beyond the limit only when everything is in use. */
  take(): Buffer {
    while (this.#free.length === 0 && this.#allocated >= this.#limit && this.#evict());
    const free = this.#free.pop();
    if (free !== undefined) return free;
    this.#allocated += 1;
    return Buffer.allocUnsafeSlow(this.#blockSize);
  }

  give(memory: Buffer): void {
    if (this.#allocated > this.#limit) this.#allocated -= 1;
    else this.#free.push(memory);
  }
}
