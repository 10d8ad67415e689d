import { PIECE } from './pieces.js';

const WORDS = 6;
const LOCK = 0;
const SOURCE = 1;
/** A double: pieces go beyond 32 bits. */
const NUMBER = 2;
const LENGTH = 4;

const FREE = 0;
const TAKEN = 1;

/**
 * Pieces that workers read from sources which the host's page cache does not know (NBD exports, RBD images), in memory
 * that all of them see: what one fetched around a short read, the next short read finds. A source is known by its number,
 * which no other source ever has, so that nothing stale is ever found.
 *
 * Each piece has one slot it can be in. A slot is locked while it is read or written; a worker that finds it locked does without,
 * so no worker waits, and a slot whose worker died is lost and nothing else.
 */
export class SharedPieces {
  readonly memory: SharedArrayBuffer;
  readonly #slots: number;
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  readonly #bytes: Buffer;

  /** Of as many bytes; `memory` joins the pieces of another thread. */
  constructor(memory: number | SharedArrayBuffer) {
    this.memory = typeof memory === 'number' ? new SharedArrayBuffer(sizeFor(memory)) : memory;
    this.#slots = this.memory.byteLength / (PIECE + WORDS * 4);
    this.#words = new Int32Array(this.memory, 0, this.#slots * WORDS);
    this.#doubles = new Float64Array(this.memory, 0, (this.#slots * WORDS) / 2);
    this.#bytes = Buffer.from(this.memory, this.#words.byteLength);
  }

  /** False where there is no memory for any. */
  get areKept(): boolean {
    return this.#slots > 0;
  }

  /** Copies [offset, offset + length) of a source, which lies in one piece, to `at` of `target`. False: it is not here. */
  copy(source: number, offset: number, length: number, target: Buffer, at: number): boolean {
    const number = Math.floor(offset / PIECE);
    const slot = this.#lock(source, number);
    if (slot === undefined) return false;
    const word = slot * WORDS;
    const within = offset % PIECE;
    const isHere =
      this.#words[word + SOURCE] === source &&
      this.#doubles[(word + NUMBER) / 2] === number &&
      within + length <= (this.#words[word + LENGTH] ?? 0);
    const start = slot * PIECE + within;
    if (isHere) this.#bytes.copy(target, at, start, start + length);
    this.#unlock(slot);
    return isHere;
  }

  /** A copy of [offset, offset + length) of a source, if one piece that is here has it. */
  find(source: number, offset: number, length: number): Buffer | undefined {
    if (!this.areKept || source === 0 || length === 0 || (offset % PIECE) + length > PIECE) return undefined;
    const bytes = Buffer.allocUnsafe(length);
    return this.copy(source, offset, length, bytes, 0) ? bytes : undefined;
  }

  /** Keeps `piece`, which begins at `offset` of a source. */
  keep(source: number, offset: number, piece: Buffer): void {
    const number = Math.floor(offset / PIECE);
    const slot = this.#lock(source, number);
    if (slot === undefined) return;
    const word = slot * WORDS;
    this.#words[word + SOURCE] = source;
    this.#doubles[(word + NUMBER) / 2] = number;
    this.#words[word + LENGTH] = piece.length;
    piece.copy(this.#bytes, slot * PIECE);
    this.#unlock(slot);
  }

  /** The slot of a piece, ours until `#unlock`. */
  #lock(source: number, number: number): number | undefined {
    // Neighbours in an image do not displace each other, and images begin in different places.
    const slot = (number + source * 7919) % this.#slots;
    return Atomics.compareExchange(this.#words, slot * WORDS + LOCK, FREE, TAKEN) === FREE ? slot : undefined;
  }

  #unlock(slot: number): void {
    Atomics.store(this.#words, slot * WORDS + LOCK, FREE);
  }
}

function sizeFor(bytes: number): number {
  return Math.floor(bytes / (PIECE + WORDS * 4)) * (PIECE + WORDS * 4);
}
