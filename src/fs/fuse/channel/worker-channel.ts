import type { ReplyErrno } from '../protocol/errno.js';

/**
 * What a worker opens its channel by: a message between threads of one process. Only the implementation looks into it.
 */
export interface WorkerChannelHandle {
  readonly fuseFd: number;
}

/**
 * One worker's side of the conversation with the kernel (KernelChannel): one thread's, blocking, one request at a time. It
 * allocates nothing per request. Every request is answered by one call of `replies` or by `pages.send`, here or elsewhere;
 * ReplyOwnership decides by which side.
 */
export interface WorkerChannel {
  readonly requests: WorkerRequests;
  readonly replies: WorkerReplies;
  readonly pages: PageReplies;
}

/** The requests that a worker receives, and the memory that they lie in: the channel's, valid until the next receive(). */
export interface WorkerRequests {
  /** Where the last request lies, from its first byte; another one after pass(). */
  readonly request: Buffer;
  /** The same bytes. */
  readonly view: DataView;

  /**
   * Waits for a request; its length in bytes. Requests that go away before they are read are passed over. Undefined: the
   * kernel has let go of the mount, and no other will come. Throws any other error of the channel.
   */
  receive(): number | undefined;

  /** The request was answered, or wants no answer. */
  done(): void;

  /**
   * Gives the request away by `give`, with the slot that keeps it until it is answered. Only where requests are kept
   * (InFlightShare); elsewhere it does nothing.
   */
  pass(give: (slot: number) => void): void;
}

/**
 * A worker's answers out of the memory that its sources are read into (readRoom). Offsets and lengths are in bytes; what lies
 * before the bytes of an answer is overwritten. False: the kernel did not take the answer, its caller is gone. Throws
 * CinderfsError `fuse_failed` when the kernel refuses an answer that it waits for.
 */
export interface WorkerReplies {
  /** Answers with `length` bytes from `start`, which is at least DATA_AT. */
  send(unique: bigint, start: number, length: number): boolean;
  /** Answers with one 64-bit number. */
  sendNumber(unique: bigint, value: number): boolean;
  /** Answers OPEN. False: nothing was opened. */
  sendOpened(unique: bigint, fh: number, flags: number, backingId: number): boolean;
  fail(unique: bigint, errno: ReplyErrno): boolean;
}

/**
 * Answers that the kernel takes out of the page cache of a file, without a copy in this process. Between fill() and send()
 * or discard() one answer is held; otherwise none.
 */
export interface PageReplies {
  /** Takes `length` bytes of `fd` from `offset` as the answer. False: it cannot be had this way, and nothing is held. */
  fill(unique: bigint, fd: number, offset: number, length: number): boolean;
  /** Gives the kernel the answer of `length` bytes. */
  send(length: number): void;
  /** Throws away what is held. */
  discard(): void;
}
