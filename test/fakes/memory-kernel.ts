import type { KernelChannel } from '../../src/fs/fuse/channel/kernel-channel.js';
import type { ReplyErrno } from '../../src/fs/fuse/protocol/errno.js';
import { REQUEST_ROOM } from '../../src/fs/fuse/protocol/opcodes.js';

export interface MemoryAnswer {
  readonly unique: bigint;
  readonly errno?: ReplyErrno;
  readonly payload?: Buffer;
  /** It was given as pages (PageReplies). */
  readonly paged?: true;
}

/** A kernel in memory: its requests are a script, the answers to them are recorded. The channel to itself. */
export class MemoryKernel implements KernelChannel {
  readonly forWorkers = { fuseFd: -1 };
  /** In the order in which they came. */
  readonly answers: MemoryAnswer[] = [];
  /** What it was told unasked. */
  readonly notifications: string[] = [];
  /** Whether callers still wait for answers. */
  delivers = true;
  readonly #requests: Buffer[] = [];
  #ended = false;
  #wake: () => void = () => undefined;

  ask(...requests: readonly Buffer[]): void {
    this.#requests.push(...requests);
    this.#wake();
  }

  /** Lets go of the mount, once what was asked is received. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Records an answer. */
  take(answer: MemoryAnswer): boolean {
    this.answers.push(answer);
    return this.delivers;
  }

  requestRoom(): Buffer {
    return Buffer.alloc(REQUEST_ROOM);
  }

  async receive(room: Buffer): Promise<number | undefined> {
    while (this.#requests.length === 0 && !this.#ended)
      await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.receiveSync(room);
  }

  /** A script that is at its end is the end of the mount: there is nothing to wait for. */
  receiveSync(room: Buffer): number | undefined {
    return this.#requests.shift()?.copy(room);
  }

  reply(unique: bigint, payload: readonly Buffer[]): boolean {
    return this.take({ unique, payload: Buffer.concat(payload) });
  }

  fail(unique: bigint, errno: ReplyErrno): void {
    this.take({ unique, errno });
  }

  pagesPerReply(): number {
    return 1;
  }

  invalidateEntry(parent: number, name: string): void {
    this.notifications.push(`entry ${name} of ${parent}`);
  }

  invalidateInode(node: number): void {
    this.notifications.push(`inode ${node}`);
  }

  resend(): boolean {
    this.notifications.push('resend');
    return true;
  }

  waits(): boolean {
    return true;
  }

  openBacking(): number {
    throw new Error('this kernel reads no files');
  }

  closeBacking(): void {
    throw new Error('this kernel reads no files');
  }

  quiet(): Promise<void> {
    return Promise.resolve();
  }
}
