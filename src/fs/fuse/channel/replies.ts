import { writeSync } from 'node:fs';
import { CinderfsError, reasonOf } from '../../../errors.js';
import { isGone } from './device.js';
import type { ReplyErrno } from '../protocol/errno.js';
import { negated, systemCode } from '../protocol/errno.js';
import { OUT_HEADER } from '../protocol/messages.js';
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

  fail(unique: bigint, errno: ReplyErrno): void {
    this.#write(unique, negated(errno), DATA_AT, 0);
  }

  #write(unique: bigint, error: number, start: number, length: number): void {
    const at = start - OUT_HEADER.size;
    this.#view.setUint32(at + LEN, OUT_HEADER.size + length, LITTLE);
    this.#view.setInt32(at + ERROR, error, LITTLE);
    this.#view.setBigUint64(at + UNIQUE, unique, LITTLE);
    try {
      writeSync(this.#fuseFd, this.#memory, at, OUT_HEADER.size + length);
    } catch (thrown) {
      // ENOENT: the caller was killed. Gone: the next request is not coming, which ends the worker.
      if (systemCode(thrown) === 'ENOENT' || isGone(thrown)) return;
      throw new CinderfsError('fuse_failed', `the kernel refused an answer: ${reasonOf(thrown)}`);
    }
  }
}
