import { write, writeSync, writevSync } from 'node:fs';
import { promisify } from 'node:util';
import { reasonOf } from '../../../errors.js';
import type { Log } from '../../../log.js';
import type { ReplyErrno } from '../protocol/errno.js';
import { negated, systemCode } from '../protocol/errno.js';
import { OUT_HEADER } from '../protocol/messages.js';
import { INTERRUPT, NotifyCode } from '../protocol/opcodes.js';

const writeAsync = promisify(write);

/** Codes that say the kernel has let go of the mount; nothing can be answered any more. */
const GONE = new Set(['ENODEV', 'ECONNABORTED', 'ENOTCONN']);

/** Codes of a read that say that a request went away before it was read. */
export const TRY_AGAIN: ReadonlySet<string> = new Set(['EINTR', 'ENOENT', 'EAGAIN']);

export function isGone(thrown: unknown): boolean {
  return GONE.has(systemCode(thrown) ?? '');
}

/**
 * The side of /dev/fuse that we write: replies and notifications. Any thread may write replies to the same
 * descriptor; the answering side makes sure that a request is answered once.
 */
export class FuseDevice {
  readonly fd: number;
  readonly #log: Log;
  readonly #onAnswered: (unique: bigint) => void;
  #notifications: Promise<unknown> = Promise.resolve();

  /** `onAnswered` hears of each request once it was answered here. */
  constructor(fd: number, log: Log, onAnswered: (unique: bigint) => void = () => undefined) {
    this.fd = fd;
    this.#log = log;
    this.#onAnswered = onAnswered;
  }

  /**
   * Answers a request. False when the kernel did not take the answer: the request is gone (its caller was killed, the
   * connection was aborted), so that what the answer would have handed over stays ours.
   */
  reply(unique: bigint, payload: readonly Buffer[]): boolean {
    try {
      writevSync(this.fd, [header(unique, 0, payload), ...payload]);
      this.#onAnswered(unique);
      return true;
    } catch (error) {
      if (systemCode(error) === 'ENOENT' || isGone(error)) {
        this.#onAnswered(unique);
        return false;
      }
      this.#log.error(
        { unique: String(unique), reason: reasonOf(error) },
        'the kernel refused a reply; the request is answered EIO',
      );
      this.fail(unique, 'EIO');
      return false;
    }
  }

  /** Answers a request with an error. */
  fail(unique: bigint, errno: ReplyErrno): void {
    try {
      writeSync(this.fd, header(unique, negated(errno), []));
      this.#onAnswered(unique);
    } catch (error) {
      this.#onAnswered(unique);
      if (systemCode(error) === 'ENOENT' || isGone(error)) return;
      this.#log.error(
        { unique: String(unique), errno, reason: reasonOf(error) },
        'the kernel refused a reply',
      );
    }
  }

  /**
   * Tells the kernel something unasked. Never from the main thread's own stack: the kernel may make the writer wait
   * for a lock that is held by a request we have not answered yet. So one after the other on a pool thread.
   */
  notify(code: number, payload: readonly Buffer[]): void {
    const message = Buffer.concat([header(0n, code, payload), ...payload]);
    this.#notifications = this.#notifications
      .then(() => writeAsync(this.fd, message, 0, message.length, null))
      .catch((error: unknown) => {
        if (systemCode(error) === 'ENOENT' || isGone(error)) return;
        this.#log.warn({ code, reason: reasonOf(error) }, 'the kernel refused a notification');
      });
  }

  /**
   * Asks for every request again that was read and not answered: by an engine that is dead, or by this one. False where
   * the kernel cannot (before Linux 6.9).
   */
  resend(): boolean {
    try {
      writeSync(this.fd, header(0n, NotifyCode.RESEND, []));
      return true;
    } catch (error) {
      if (isGone(error)) return true;
      this.#log.debug({ reason: reasonOf(error) }, 'the kernel lacks FUSE_NOTIFY_RESEND');
      return false;
    }
  }

  /**
   * Whether the kernel still waits for the answer to a request, asked by a reply to an interrupt of it: one that there
   * was is sent again (EAGAIN), EINVAL says that there was none, ENOENT that the request was answered.
   */
  waits(unique: bigint): boolean {
    try {
      writeSync(this.fd, header(unique | INTERRUPT, negated('EAGAIN'), []));
      return true;
    } catch (error) {
      return systemCode(error) === 'EINVAL';
    }
  }

  /** Resolves when no notification is being written: the descriptor may be closed. */
  async quiet(): Promise<void> {
    await this.#notifications;
  }
}

function header(unique: bigint, error: number, payload: readonly Buffer[]): Buffer {
  const length = payload.reduce((sum, part) => sum + part.length, OUT_HEADER.size);
  return OUT_HEADER.encode({ len: length, error, unique });
}
