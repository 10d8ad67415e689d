import { writeSync } from 'node:fs';
import { CinderfsError, reasonOf } from '../../errors.js';
import type { AlignedReader } from './aligned-read.js';
import type { Claims } from './claims.js';
import { isGone } from './device.js';
import type { ReplyErrno } from './errno.js';
import { negated, systemCode } from './errno.js';
import { OUT_HEADER } from './messages.js';
import { MAX_READ, PAGE_SIZE } from './protocol.js';
import type { SharedHandles } from './shared-handles.js';
import { HandleState } from './shared-handles.js';
import { LITTLE } from './struct.js';
import type { ReadJob } from './worker-messages.js';

export interface WorkerReadsParts {
  readonly fuseFd: number;
  readonly seat: number;
  readonly claims: Claims;
  readonly handles: SharedHandles;
  readonly reader: AlignedReader;
  /** A READ was answered EIO; `reason` is for the log. */
  readonly failed: (read: ReadJob, reason: string) => void;
}

const { len: LEN, error: ERROR, unique: UNIQUE } = OUT_HEADER.offsets;

/** READ, answered on the worker's own thread. */
export class WorkerReads {
  readonly #parts: WorkerReadsParts;
  readonly #view: DataView;

  constructor(parts: WorkerReadsParts) {
    this.#parts = parts;
    this.#view = new DataView(parts.reader.memory.buffer);
  }

  /**
   * Answers `read` if its file is in one of the states up to `worst`. False: not answered, somebody else must. True
   * also when the main thread answered while we were reading.
   */
  serve(read: ReadJob, worst: typeof HandleState.inline | typeof HandleState.queued): boolean {
    const { seat, claims, handles } = this.#parts;
    const state = handles.state(read.fh);
    if (state === HandleState.free || state > worst || read.length > MAX_READ) return false;
    const length = Math.max(0, Math.min(read.length, handles.size(read.fh) - read.offset));
    const claim = claims.open(seat, read);
    const start = this.#fill(read, length);
    if (!claims.take(seat, claim)) return true;
    // Fenced while we read: not one byte leaves. The main thread knows the reason to answer with.
    if (handles.state(read.fh) === HandleState.fenced) return false;
    // A device may be gone only until the volume is connected again: the main thread knows.
    if (start === undefined && handles.direct(read.fh)) return false;
    if (start === undefined) this.fail(read.unique, 'EIO');
    else this.#send(read.unique, 0, start, length);
    return true;
  }

  /** Answers any request with an error. */
  fail(unique: bigint, errno: ReplyErrno): void {
    this.#send(unique, negated(errno), PAGE_SIZE, 0);
  }

  /** Where in memory the bytes start; undefined when the source failed. */
  #fill(read: ReadJob, length: number): number | undefined {
    const { handles, reader, failed } = this.#parts;
    try {
      return reader.read(handles.fd(read.fh), read.offset, length, handles.direct(read.fh));
    } catch (error) {
      failed(read, reasonOf(error));
      return undefined;
    }
  }

  /** Header and data leave in one write: the header takes the bytes before the data. */
  #send(unique: bigint, error: number, start: number, length: number): void {
    const at = start - OUT_HEADER.size;
    this.#view.setUint32(at + LEN, OUT_HEADER.size + length, LITTLE);
    this.#view.setInt32(at + ERROR, error, LITTLE);
    this.#view.setBigUint64(at + UNIQUE, unique, LITTLE);
    try {
      writeSync(this.#parts.fuseFd, this.#parts.reader.memory, at, OUT_HEADER.size + length);
    } catch (thrown) {
      // ENOENT: the reader was killed. Gone: the next request is not coming, which ends the worker.
      if (systemCode(thrown) === 'ENOENT' || isGone(thrown)) return;
      throw new CinderfsError('fuse_failed', `the kernel refused the answer to a READ: ${reasonOf(thrown)}`);
    }
  }
}
