import type { WorkerSource } from '../contract/source.js';
import { DATA_AT } from '../contract/read-room.js';
import { pieceAround } from '../cache/pieces.js';
import type { SharedPieces } from '../cache/shared-pieces.js';

/**
 * Stands around the sources of a worker that the host's page cache does not keep: a short read is made of a whole piece,
 * which then waits for those next to it (SharedPieces).
 */
export class PieceReader {
  readonly #pieces: SharedPieces;
  readonly #memory: Buffer;

  /** `memory` is the one that sources are read into (WorkerContext). */
  constructor(pieces: SharedPieces, memory: Buffer) {
    this.#pieces = pieces;
    this.#memory = memory;
  }

  /**
   * As WorkerSource.read, of an image of `size` bytes whose pieces are kept under `number`. Not an object of arguments:
   * this is called for every read.
   */
  read(
    reader: WorkerSource,
    slot: number,
    number: number,
    size: number,
    offset: number,
    length: number,
  ): number {
    const piece = this.#pieces.areKept ? pieceAround(offset, length, size) : undefined;
    if (piece === undefined) return reader.read(slot, offset, length, false);
    if (this.#pieces.copy(number, offset, length, this.#memory, DATA_AT)) return DATA_AT;
    const start = reader.read(slot, piece.offset, piece.length, false);
    this.#pieces.keep(number, piece.offset, this.#memory.subarray(start, start + piece.length));
    return start + offset - piece.offset;
  }
}
