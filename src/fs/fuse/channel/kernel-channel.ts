import type { ReplyErrno } from '../protocol/errno.js';
import type { WorkerChannelHandle } from './worker-channel.js';

/**
 * The main thread's side of the conversation with the kernel about one mount: one instance per mount and process. Only
 * this and WorkerChannel know what it runs over. Requests and answers are the bytes of FUSE (protocol/); an answer's
 * header is the channel's to write. `unique` names a request, from its header.
 *
 * Ownership: the channel does not own the descriptor it is made of, whose owner closes it after quiet(). Buffers that are
 * given to it are the caller's again when the call returns or its promise settles.
 */
export interface KernelChannel {
  /** What each worker opens its WorkerChannel by. */
  readonly forWorkers: WorkerChannelHandle;

  /** Memory for one request at a time (receive, receiveSync); the caller's. */
  requestRoom(): Buffer;

  /**
   * Waits for a request, without blocking the thread; its length in bytes, from the start of `room`. Requests that go away
   * before they are read are passed over. Undefined: the kernel has let go of the mount. Rejects with any other error
   * of the channel.
   */
  receive(room: Buffer): Promise<number | undefined>;

  /** The same, blocking: for INIT, which the kernel has sent when it mounts. */
  receiveSync(room: Buffer): number | undefined;

  /**
   * Answers a request; the parts of the payload follow each other. False when the kernel did not take the answer: the
   * request is gone (its caller was killed, the connection was aborted), so that what the answer would have handed over
   * stays ours. Never throws.
   */
  reply(unique: bigint, payload: readonly Buffer[]): boolean;

  /** Answers a request with an error. Never throws. */
  fail(unique: bigint, errno: ReplyErrno): void;

  /** Pages of the longest READ that is worth asking for: PageReplies can answer it. */
  pagesPerReply(): number;

  /** Takes a name out of the kernel's caches. In the background, in the order of the calls; a failure is logged. */
  invalidateEntry(parent: number, name: string): void;

  /** Takes attributes and pages of a node out of the kernel's caches; as invalidateEntry. */
  invalidateInode(node: number): void;

  /**
   * Asks for every request again that was read and not answered: by an engine that is dead, or by this one. False where
   * the kernel cannot (before Linux 6.9).
   */
  resend(): boolean;

  /** Whether the kernel still waits for the answer to a request. */
  waits(unique: bigint): boolean;

  /** Registers a file that the kernel may read itself; the backing id. Throws CinderfsError `fuse_failed`. */
  openBacking(fd: number): number;

  /** Throws CinderfsError `fuse_failed`. */
  closeBacking(backingId: number): void;

  /** Resolves when no notification is on its way: what the channel is made of may be closed. */
  quiet(): Promise<void>;
}
