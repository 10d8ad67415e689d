import { write, writeSync, writevSync } from 'node:fs';
import { promisify } from 'node:util';
import { reasonOf } from '../../errors.js';
import type { Log } from '../../log.js';
import type { ReplyErrno } from './errno.js';
import { negated, systemCode } from './errno.js';
import { OUT_HEADER } from './messages.js';
import { NotifyCode } from './protocol.js';

const writeAsync = promisify(write);

/** Codes that say the kernel has let go of the mount; nothing can be answered any more. */
const GONE = new Set(['ENODEV', 'ECONNABORTED', 'ENOTCONN']);

export function isGone(thrown: unknown): boolean {
  return GONE.has(systemCode(thrown) ?? '');
}

/**
 * The side of /dev/fuse that we write: replies and notifications. Any thread may write replies to the same
 * descriptor; whoever answers a request owns that it is answered once.
 */
export class FuseDevice {
  readonly fd: number;
  readonly #log: Log;
  #notifications: Promise<unknown> = Promise.resolve();

  constructor(fd: number, log: Log) {
    this.fd = fd;
    this.#log = log;
  }

  /**
   * Answers a request. False when the kernel did not take the answer: the request is gone (its caller was killed, the
   * connection was aborted), so that what the answer would have handed over stays ours.
   */
  reply(unique: bigint, payload: readonly Buffer[]): boolean {
    try {
      writevSync(this.fd, [header(unique, 0, payload), ...payload]);
      return true;
    } catch (error) {
      if (systemCode(error) === 'ENOENT' || isGone(error)) return false;
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
    } catch (error) {
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
      this.#log.debug({ reason: reasonOf(error) }, 'the kernel does not send requests again');
      return false;
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
