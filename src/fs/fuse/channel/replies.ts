import { writeSync } from 'node:fs';
import { CinderfsError, reasonOf } from '../../../errors.js';
import { isGone } from './device.js';
import type { ReplyErrno } from '../protocol/errno.js';
import { negated, systemCode } from '../protocol/errno.js';
import { OPEN_OUT, OUT_HEADER } from '../protocol/messages.js';
import { DATA_AT } from '../../../sources/contract/read-room.js';
import { LITTLE } from '../../../sys/calls/struct.js';

const { len: LEN, error: ERROR, unique: UNIQUE } = OUT_HEADER.offsets;

/** A worker's answers to the kernel, out of the memory that its sources are read into. */
export class WorkerReplies {
  readonly #fuseFd: number;
  readonly #memory: Buffer;
  readonly #view: DataView;

  /** `memory` is a whole ArrayBuffer. */
  constructor(fuseFd: number, memory: Buffer) {
    this.#fuseFd = fuseFd;
    this.#memory = memory;
    this.#view = new DataView(memory.buffer);
  }

  /** Answers with `length` bytes from `start`. They leave in one write: the header takes the bytes before them. */
  send(unique: bigint, start: number, length: number): void {
    this.#write(unique, 0, start, length);
  }

  /** Answers with one 64-bit number. */
  sendNumber(unique: bigint, value: number): void {
    this.#view.setBigUint64(DATA_AT, BigInt(value), LITTLE);
    this.#write(unique, 0, DATA_AT, 8);
  }

  /** Answers OPEN. False when its caller is gone: nothing was opened. */
  sendOpened(unique: bigint, fh: number, flags: number, backingId: number): boolean {
    const answer = { fh, open_flags: flags, backing_id: backingId };
    OPEN_OUT.encodeInto(this.#memory, DATA_AT, answer);
    return this.#write(unique, 0, DATA_AT, OPEN_OUT.size);
  }

  fail(unique: bigint, errno: ReplyErrno): void {
    this.#write(unique, negated(errno), DATA_AT, 0);
  }

  /** False when nobody waits for the answer. */
  #write(unique: bigint, error: number, start: number, length: number): boolean {
    const at = start - OUT_HEADER.size;
    this.#view.setUint32(at + LEN, OUT_HEADER.size + length, LITTLE);
    this.#view.setInt32(at + ERROR, error, LITTLE);
    this.#view.setBigUint64(at + UNIQUE, unique, LITTLE);
    try {
      writeSync(this.#fuseFd, this.#memory, at, OUT_HEADER.size + length);
      return true;
    } catch (thrown) {
      // ENOENT: the caller was killed. Gone: the next request is not coming, which ends the worker.
      if (systemCode(thrown) === 'ENOENT' || isGone(thrown)) return false;
      throw new CinderfsError('fuse_failed', `the kernel refused an answer: ${reasonOf(thrown)}`);
    }
  }
}
