import { writeSync } from 'node:fs';
import { CinderfsError, reasonOf } from '../../../../errors.js';
import type { ReplyErrno } from '../../protocol/errno.js';
import { negated, systemCode } from '../../protocol/errno.js';
import { OPEN_OUT, OUT_HEADER } from '../../protocol/messages.js';
import { DATA_AT } from '../../../../sources/contract/read-room.js';
import type { WorkerReplies } from '../worker-channel.js';
import { isGone } from './gone.js';
import { LITTLE } from '../../../../sys/calls/struct.js';

const { len: LEN, error: ERROR, unique: UNIQUE } = OUT_HEADER.offsets;

/** Answers that leave in one write(2): the header takes the bytes before theirs. */
export class MemoryReplies implements WorkerReplies {
  readonly #fuseFd: number;
  readonly #memory: Buffer;
  readonly #view: DataView;

  /** `memory` is a whole ArrayBuffer. */
  constructor(fuseFd: number, memory: Buffer) {
    this.#fuseFd = fuseFd;
    this.#memory = memory;
    this.#view = new DataView(memory.buffer);
  }

  send(unique: bigint, start: number, length: number): boolean {
    return this.#write(unique, 0, start, length);
  }

  sendNumber(unique: bigint, value: number): boolean {
    this.#view.setBigUint64(DATA_AT, BigInt(value), LITTLE);
    return this.#write(unique, 0, DATA_AT, 8);
  }

  sendOpened(unique: bigint, fh: number, flags: number, backingId: number): boolean {
    const answer = { fh, open_flags: flags, backing_id: backingId };
    OPEN_OUT.encodeInto(this.#memory, DATA_AT, answer);
    return this.#write(unique, 0, DATA_AT, OPEN_OUT.size);
  }

  fail(unique: bigint, errno: ReplyErrno): boolean {
    return this.#write(unique, negated(errno), DATA_AT, 0);
  }

  /** False when no caller waits for the answer. */
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
