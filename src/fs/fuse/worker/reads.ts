import { reasonOf } from '../../../errors.js';
import type { PieceReader } from '../../../sources/cached/piece-reader.js';
import { DATA_AT } from '../../../sources/contract/read-room.js';
import type { WorkerSource } from '../../../sources/contract/source.js';
import type { WorkerChannel } from '../channel/worker-channel.js';
import { MAX_READ } from '../protocol/opcodes.js';
import type { ReplyOwnership } from '../shared/reply-ownership.js';
import type { SharedHandles } from '../shared/shared-handles.js';
import { HandleState } from '../shared/shared-handles.js';
import type { ReadJob } from './messages.js';

export interface WorkerReadsParts {
  readonly workerId: number;
  readonly claims: ReplyOwnership;
  readonly handles: SharedHandles;
  /** The worker half of each kind of source. */
  readonly readers: readonly WorkerSource[];
  readonly pieces: PieceReader;
  readonly channel: Pick<WorkerChannel, 'replies' | 'pages'>;
  /** The source failed; `reason` is for the log. */
  readonly failed: (read: ReadJob, reason: string) => void;
}

/** The bytes are held as pages (PageReplies); in memory they never start here. */
const PAGES = 0;

/** READ, answered on the worker's own thread. */
export class WorkerReads {
  readonly #parts: WorkerReadsParts;

  constructor(parts: WorkerReadsParts) {
    this.#parts = parts;
  }

  /**
   * Answers `read` if its file is in one of the states up to `worst` and its bytes can be had here. False: not
   * answered, the main thread must, which also tries again what failed and knows what to say of it. True also when the
   * main thread answered while we were reading.
   */
  serve(read: ReadJob, worst: typeof HandleState.inline | typeof HandleState.queued): boolean {
    const { workerId, claims, handles, channel } = this.#parts;
    const state = handles.state(read.fh);
    if (state === HandleState.free || state > worst || read.length > MAX_READ) return false;
    // O_DIRECT readers of a source that no page cache keeps share nothing here; the main thread's block cache serves them all.
    if (read.uncached && handles.number(read.fh) !== 0) return false;
    const length = Math.max(0, Math.min(read.length, handles.size(read.fh) - read.offset));
    const claim = claims.begin(workerId, read);
    const start = this.#fill(read, length);
    const mine = claims.win(workerId, claim);
    // Fenced while we read: not one byte leaves. The main thread knows the reason to answer with.
    const served = mine && start !== undefined && handles.state(read.fh) !== HandleState.fenced;
    if (!served && start === PAGES) channel.pages.discard();
    if (!served) return !mine;
    if (start === PAGES) channel.pages.send(length);
    else channel.replies.send(read.unique, start, length);
    return true;
  }

  /** Where in memory the bytes start, or PAGES; undefined when the source failed, or may be another volume by now. */
  #fill(read: ReadJob, length: number): number | undefined {
    try {
      return length === 0 ? DATA_AT : this.#read(read, length);
    } catch (error) {
      this.#parts.failed(read, reasonOf(error));
      return undefined;
    }
  }

  /** The bytes are confirmed: what has to be confirmed first is not put where only the reply can take it out. */
  #read({ unique, fh, offset, uncached }: ReadJob, length: number): number {
    const { handles, readers, pieces, channel } = this.#parts;
    // Before the slot: what is kept under a number that is out of date is never found again.
    const number = handles.number(fh);
    const slot = handles.slot(fh);
    const reader = readers[handles.kind(fh)];
    if (reader === undefined) throw new Error('a kind of source that is not loaded');
    if (number !== 0) return pieces.read(reader, slot, number, handles.size(fh), offset, length);
    const fd = reader.spliceFd?.(slot) ?? -1;
    if (fd !== -1 && channel.pages.fill(unique, fd, offset, length)) return PAGES;
    return reader.read(slot, offset, length, uncached);
  }
}
