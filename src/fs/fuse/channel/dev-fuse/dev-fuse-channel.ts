import { write, writeSync, writevSync } from 'node:fs';
import { promisify } from 'node:util';
import { CinderfsError, reasonOf } from '../../../../errors.js';
import type { Log } from '../../../../log.js';
import { systemCalls, type SystemCalls } from '../../../../sys/calls/system-calls.js';
import type { ReplyErrno } from '../../protocol/errno.js';
import { negated, systemCode } from '../../protocol/errno.js';
import { INVAL_ENTRY_OUT, INVAL_INODE_OUT, OUT_HEADER } from '../../protocol/messages.js';
import { INTERRUPT, NotifyCode, REQUEST_ROOM } from '../../protocol/opcodes.js';
import type { KernelChannel } from '../kernel-channel.js';
import type { WorkerChannelHandle } from '../worker-channel.js';
import { isGone } from './gone.js';
import { receive, receiveSync } from './receive.js';
import { pagesPerReply } from './reply-pipe.js';
import { requestRoom } from './request-room.js';

const writeAsync = promisify(write);

/** /dev/fuse, by read(2) and write(2) on its descriptor, which any thread may use. */
export class DevFuseChannel implements KernelChannel {
  readonly forWorkers: WorkerChannelHandle;
  readonly #fd: number;
  readonly #log: Log;
  readonly #onAnswered: (unique: bigint) => void;
  #notifications: Promise<unknown> = Promise.resolve();

  /** `onAnswered` hears of each request once it was answered here. */
  constructor(fd: number, log: Log, onAnswered: (unique: bigint) => void = () => undefined) {
    this.forWorkers = { fuseFd: fd };
    this.#fd = fd;
    this.#log = log;
    this.#onAnswered = onAnswered;
  }

  requestRoom(): Buffer {
    return requestRoom(REQUEST_ROOM, systemCalls());
  }

  receive(room: Buffer): Promise<number | undefined> {
    return receive(this.#fd, room);
  }

  receiveSync(room: Buffer): number | undefined {
    return receiveSync(this.#fd, room);
  }

  reply(unique: bigint, payload: readonly Buffer[]): boolean {
    try {
      writevSync(this.#fd, [header(unique, 0, payload), ...payload]);
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

  fail(unique: bigint, errno: ReplyErrno): void {
    try {
      writeSync(this.#fd, header(unique, negated(errno), []));
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

  pagesPerReply(): number {
    return pagesPerReply(systemCalls());
  }

  invalidateEntry(parent: number, name: string): void {
    const text = Buffer.from(`${name}\0`);
    const entry = INVAL_ENTRY_OUT.encode({ parent, namelen: text.length - 1 });
    this.#notify(NotifyCode.INVAL_ENTRY, [entry, text]);
  }

  invalidateInode(node: number): void {
    this.#notify(NotifyCode.INVAL_INODE, [INVAL_INODE_OUT.encode({ ino: node, off: 0, len: 0 })]);
  }

  resend(): boolean {
    try {
      writeSync(this.#fd, header(0n, NotifyCode.RESEND, []));
      return true;
    } catch (error) {
      if (isGone(error)) return true;
      this.#log.debug({ reason: reasonOf(error) }, 'the kernel lacks FUSE_NOTIFY_RESEND');
      return false;
    }
  }

  /**
   * Asked by a reply to an interrupt of the request: one that there was is sent again (EAGAIN), EINVAL says that there was
   * none, ENOENT that the request was answered.
   */
  waits(unique: bigint): boolean {
    try {
      writeSync(this.#fd, header(unique | INTERRUPT, negated('EAGAIN'), []));
      return true;
    } catch (error) {
      return systemCode(error) === 'EINVAL';
    }
  }

  openBacking(fd: number): number {
    return backingCalls().openBacking(this.#fd, fd);
  }

  closeBacking(backingId: number): void {
    backingCalls().closeBacking(this.#fd, backingId);
  }

  async quiet(): Promise<void> {
    await this.#notifications;
  }

  /**
   * Tells the kernel something unasked. Never from the main thread's own stack: the kernel may make the writer wait
   * for a lock that is held by a request we have not answered yet. So one after the other on a pool thread.
   */
  #notify(code: number, payload: readonly Buffer[]): void {
    const message = Buffer.concat([header(0n, code, payload), ...payload]);
    this.#notifications = this.#notifications
      .then(() => writeAsync(this.#fd, message, 0, message.length, null))
      .catch((error: unknown) => {
        if (systemCode(error) === 'ENOENT' || isGone(error)) return;
        this.#log.warn({ code, reason: reasonOf(error) }, 'the kernel refused a notification');
      });
  }
}

function backingCalls(): SystemCalls {
  const calls = systemCalls();
  if (calls === undefined) throw new CinderfsError('fuse_failed', 'passthrough needs koffi');
  return calls;
}

function header(unique: bigint, error: number, payload: readonly Buffer[]): Buffer {
  const length = payload.reduce((sum, part) => sum + part.length, OUT_HEADER.size);
  return OUT_HEADER.encode({ len: length, error, unique });
}
