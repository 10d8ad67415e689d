import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { PIECE, pieceAround } from '../../src/sources/cache/pieces.js';
import { SharedPieces } from '../../src/sources/cache/shared-pieces.js';
import { assertProperty } from '../support/seeds.js';
import { contentOf, type Copies, type PieceUserStart } from './piece-user.js';

const THREADS = 3;
const SLOTS = 4;
const SIZES = fc.integer({ min: 1, max: 2 ** 45 });

describe('pieces', () => {
  it('hold the whole of a short read, begin at a multiple of their length and end with the image', () => {
    const reads = SIZES.chain((size) =>
      fc
        .tuple(fc.integer({ min: 0, max: size - 1 }), fc.integer({ min: 1, max: 2 * PIECE }))
        .map(([offset, length]) => ({ size, offset, length: Math.min(length, size - offset) })),
    );
    assertProperty(
      fc.property(reads, ({ size, offset, length }) => {
        const piece = pieceAround(offset, length, size);
        const isInOne = Math.floor(offset / PIECE) === Math.floor((offset + length - 1) / PIECE);
        assert.equal(piece !== undefined, isInOne && length < PIECE);
        if (piece === undefined) return;
        const [start, end] = [piece.offset, piece.offset + piece.length];
        assert.equal(start % PIECE, 0);
        assert.ok(start <= offset && offset + length <= end && end <= size);
        assert.ok(piece.length === PIECE || end === size);
      }),
    );
  });

  it('are found as they were kept, or not at all', () => {
    const uses = fc.array(
      fc.record({
        keep: fc.boolean(),
        source: fc.integer({ min: 1, max: 3 }),
        number: fc.oneof(fc.nat(9), fc.integer({ min: 2 ** 33, max: 2 ** 33 + 9 })),
        within: fc.nat(PIECE - 1),
        length: fc.integer({ min: 1, max: PIECE }),
      }),
    );
    assertProperty(
      fc.property(uses, (sequence) => {
        const pieces = new SharedPieces(SLOTS * (PIECE + 64));
        const last = new Map<string, number>();
        const target = Buffer.alloc(PIECE);
        for (const { keep, source, number, within, length } of sequence) {
          const content = contentOf(source, number);
          const key = `${source}:${number}`;
          if (keep) {
            pieces.keep(source, number * PIECE, content.subarray(0, length));
            last.set(key, length);
            continue;
          }
          const wanted = Math.min(length, PIECE - within);
          const isHere = pieces.copy(source, number * PIECE + within, wanted, target, 0);
          if (!isHere) continue;
          assert.ok(within + wanted <= (last.get(key) ?? 0), 'no more than was kept');
          assert.ok(target.subarray(0, wanted).equals(content.subarray(within, within + wanted)));
        }
      }),
    );
  });

  it('are found again, one in each slot', () => {
    const pieces = new SharedPieces(SLOTS * (PIECE + 64));
    const target = Buffer.alloc(PIECE);
    for (let number = 0; number < SLOTS; number += 1) pieces.keep(1, number * PIECE, contentOf(1, number));
    for (let number = 0; number < SLOTS; number += 1)
      assert.ok(pieces.copy(1, number * PIECE, PIECE, target, 0), `piece ${number}`);
    pieces.keep(1, SLOTS * PIECE, contentOf(1, SLOTS));
    assert.equal(pieces.copy(1, 0, PIECE, target, 0), false, 'its slot has another now');
    assert.equal(pieces.copy(2, SLOTS * PIECE, PIECE, target, 0), false, 'that of another source');
  });

  it(
    'are never found half written by threads that keep and read them at once',
    { timeout: 60_000 },
    async (t) => {
      const pieces = new SharedPieces(SLOTS * (PIECE + 64));
      const users = Array.from({ length: THREADS }, (_, seed) => {
        const workerData: PieceUserStart = { pieces: pieces.memory, seed: seed + 1 };
        const worker = new Worker(new URL('./piece-user.js', import.meta.url), { workerData });
        t.after(() => worker.terminate());
        return worker;
      });
      const said = await Promise.all(users.map(async (user) => (await once(user, 'message'))[0] as Copies));
      assert.deepEqual(
        said.map(({ wrong }) => wrong),
        said.map(() => 0),
      );
      assert.ok(said.every(({ found }) => found > 0));
    },
  );

  it('are not kept without memory', () => {
    assert.equal(new SharedPieces(0).areKept, false);
    assert.equal(new SharedPieces(1000).areKept, false);
  });
});
