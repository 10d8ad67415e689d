/** A worker thread that keeps pieces and copies them, and looks whether what it copied is what somebody kept. */
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { PIECE } from '../../src/sources/cache/pieces.js';
import { SharedPieces } from '../../src/sources/cache/shared-pieces.js';

export interface PieceUserStart {
  readonly pieces: SharedArrayBuffer;
  readonly seed: number;
}

export interface Copies {
  readonly found: number;
  readonly wrong: number;
}

const ROUNDS = 4000;
/** More than there are slots: they displace each other. */
const NUMBERS = 12;

/** What piece `number` of `source` holds, everywhere. */
export function contentOf(source: number, number: number): Buffer {
  return Buffer.alloc(PIECE, `<${source}:${number}>`);
}

if (!isMainThread && parentPort !== null) parentPort.postMessage(use(workerData as PieceUserStart));

function use({ pieces: memory, seed }: PieceUserStart): Copies {
  const pieces = new SharedPieces(memory);
  const contents = Array.from({ length: NUMBERS }, (_, number) => contentOf(1, number));
  const target = Buffer.alloc(PIECE);
  let [found, wrong, state] = [0, 0, seed];
  for (let round = 0; round < ROUNDS; round += 1) {
    state = (state * 48_271) % 2_147_483_647;
    const number = state % NUMBERS;
    const content = contents[number];
    if (content === undefined) continue;
    if (round % 3 === 0) pieces.keep(1, number * PIECE, content);
    else if (pieces.copy(1, number * PIECE, PIECE, target, 0)) {
      found += 1;
      if (!target.equals(content)) wrong += 1;
    }
  }
  return { found, wrong };
}
