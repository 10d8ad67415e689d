import { CinderfsError, reasonOf } from '../../../errors.js';
import type { AlignedReader } from './aligned-read.js';
import type { Claims } from '../shared/claims.js';
import { isStillCalled } from './device-name.js';
import type { SystemCalls } from '../../../sys/calls/system-calls.js';
import { pieceAround } from '../shared/pieces.js';
import { MAX_READ, PAGE_SIZE } from '../protocol/opcodes.js';
import type { ReplyPipe } from '../channel/reply-pipe.js';
import type { SharedHandles } from '../shared/shared-handles.js';
import { HandleState } from '../shared/shared-handles.js';
import type { SharedPieces } from '../shared/shared-pieces.js';
import type { WorkerExports } from './exports.js';
import type { WorkerImages } from './images.js';
import type { ReadJob } from './messages.js';
import type { WorkerReplies } from '../channel/replies.js';

export interface WorkerReadsParts {
  readonly seat: number;
  readonly claims: Claims;
  readonly handles: SharedHandles;
  readonly reader: AlignedReader;
  readonly pieces: SharedPieces;
  readonly exports: WorkerExports;
  readonly images: WorkerImages;
  readonly replies: WorkerReplies;
  readonly pipe: ReplyPipe;
  readonly calls: () => SystemCalls | undefined;
  /** The source failed; `reason` is for the log. */
  readonly failed: (read: ReadJob, reason: string) => void;
}

/** The bytes are in the pipe; in memory they never start here. */
const PIPED = 0;

/** READ, answered on the worker's own thread. */
export class WorkerReads {
  readonly #parts: WorkerReadsParts;

  constructor(parts: WorkerReadsParts) {
    this.#parts = parts;
  }

  /**
   * Answers `read` if its file is in one of the states up to `worst` and its bytes can be had here. False: not
   * answered, the main thread must, which also tries again what failed and knows what to say of it. True also when the
   * main thread answered while we were reading.
   */
  serve(read: ReadJob, worst: typeof HandleState.inline | typeof HandleState.queued): boolean {
    const { seat, claims, handles, replies, pipe } = this.#parts;
    const state = handles.state(read.fh);
    if (state === HandleState.free || state > worst || read.length > MAX_READ) return false;
    // O_DIRECT readers of an export or an RBD image have no page cache to share; the main thread's block cache serves them all.
    if (read.uncached && handles.cachedFd(read.fh) === -1) return false;
    const length = Math.max(0, Math.min(read.length, handles.size(read.fh) - read.offset));
    const claim = claims.open(seat, read);
    const start = this.#fill(read, length);
    const mine = claims.take(seat, claim);
    // Fenced while we read: not one byte leaves. The main thread knows the reason to answer with.
    const served = mine && start !== undefined && handles.state(read.fh) !== HandleState.fenced;
    if (!served && start === PIPED) pipe.discard();
    if (!served) return !mine;
    if (start === PIPED) pipe.send(length);
    else replies.send(read.unique, start, length);
    return true;
  }

  /** Where in memory the bytes start, or PIPED; undefined when the source failed, or may be another volume by now. */
  #fill(read: ReadJob, length: number): number | undefined {
    const { handles, failed } = this.#parts;
    const { fh } = read;
    try {
      if (length === 0) return PAGE_SIZE;
      if (handles.source(fh) !== 0) return this.#readPiece(read, length);
      const start = this.#read(read, length);
      this.#confirm(fh);
      return start;
    } catch (error) {
      failed(read, reasonOf(error));
      return undefined;
    }
  }

  /** The same of an export or an image: a short read is made of a whole piece, which then waits for those next to it. */
  #readPiece({ fh, offset }: ReadJob, length: number): number {
    const { handles, pieces, reader } = this.#parts;
    const { memory } = reader;
    const source = handles.source(fh);
    const piece = pieces.areKept ? pieceAround(offset, length, handles.size(fh)) : undefined;
    if (piece === undefined) return this.#fetch(fh, offset, length);
    if (pieces.copy(source, offset, length, memory, PAGE_SIZE)) return PAGE_SIZE;
    const start = this.#fetch(fh, piece.offset, piece.length);
    pieces.keep(source, piece.offset, memory.subarray(start, start + piece.length));
    return start + offset - piece.offset;
  }

  #fetch(fh: number, offset: number, length: number): number {
    const { handles, reader, exports, images } = this.#parts;
    const place = handles.place(fh);
    if (place !== 0) return exports.read(place, reader.memory, PAGE_SIZE, offset, length);
    return images.read(handles.image(fh), reader.memory, PAGE_SIZE, offset, length);
  }

  /** The same of a file or a device. */
  #read({ unique, fh, offset, uncached }: ReadJob, length: number): number {
    const { handles, reader, pipe } = this.#parts;
    if (handles.direct(fh))
      return reader.readDevice(handles.fd(fh), handles.cachedFd(fh), offset, length, uncached);
    // What has to be confirmed first is not put where only the reply can take it out.
    if (handles.says(fh) === undefined && pipe.fill(unique, handles.fd(fh), offset, length)) return PIPED;
    return reader.read(handles.fd(fh), offset, length);
  }

  /** The bytes that were just read are the volume's, or this throws. */
  #confirm(fh: number): void {
    const { handles, calls } = this.#parts;
    const says = handles.says(fh);
    const system = says && calls();
    if (says === undefined || (system !== undefined && isStillCalled(handles.fd(fh), says, system))) return;
    throw new CinderfsError('identity_mismatch', 'the device does not say that it is the volume');
  }
}
