/** A worker thread that goes in and out of the image that is there, and looks whether its handle is closed meanwhile. */
import { parentPort, workerData } from 'node:worker_threads';
import { SharedImages } from '../../src/sources/rbd/shared-images.js';

export interface VisitorStart {
  readonly workers: number;
  readonly workerId: number;
  readonly images: SharedArrayBuffer;
  /** [place to visit; 0 to end], then 1 for each handle that is open. */
  readonly board: SharedArrayBuffer;
}

export interface Visits {
  readonly inside: number;
  /** Times a handle was closed while it was in use. */
  readonly crashes: number;
}

const SPIN = 200;

const { workers, workerId, ...memory } = workerData as VisitorStart;
const images = new SharedImages(workers, memory.images);
const board = new Int32Array(memory.board);
let inside = 0;
let crashes = 0;
parentPort?.postMessage('ready');

for (let place = Atomics.load(board, 0); place !== 0; place = Atomics.load(board, 0)) {
  const handle = images.enter(place, workerId);
  if (handle !== undefined) {
    inside += 1;
    let open = true;
    for (let look = 0; look < SPIN && open; look += 1) open = Atomics.load(board, handle) === 1;
    if (!open) crashes += 1;
  }
  if (!images.leave(place, workerId)) parentPort?.postMessage(place);
}
parentPort?.postMessage({ inside, crashes } satisfies Visits);
