import type { ReplyOwnership } from '../shared/reply-ownership.js';
import type { WorkerSource } from '../../../sources/contract/source.js';
import type { SharedHandles } from '../shared/shared-handles.js';
import { HandleState } from '../shared/shared-handles.js';
import type { WorkerReplies } from '../channel/worker-channel.js';

export interface WorkerSeeksParts {
  readonly workerId: number;
  readonly claims: ReplyOwnership;
  readonly handles: SharedHandles;
  readonly replies: WorkerReplies;
  /** The worker half of each kind of source. */
  readonly readers: readonly WorkerSource[];
}

export interface Seek {
  readonly unique: bigint;
  readonly fh: number;
  readonly pid: number;
  readonly offset: number;
  readonly whence: number;
}

const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/**
 * LSEEK of a source that can tell at once, answered on the worker's own thread: a tool that skips holes asks before every read, and the way
 * over the main thread costs more than the answer.
 */
export class WorkerSeeks {
  readonly #parts: WorkerSeeksParts;

  constructor(parts: WorkerSeeksParts) {
    this.#parts = parts;
  }

  /** False: not answered, the main thread must. A claim stands for it, so a source that hangs is noticed. */
  serve({ unique, fh, pid, offset, whence }: Seek): boolean {
    const { workerId, claims, handles, replies, readers } = this.#parts;
    const size = handles.size(fh);
    if (handles.state(fh) !== HandleState.inline || offset >= size) return false;
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return false;
    const reader = readers[handles.kind(fh)];
    if (reader?.seek === undefined) return false;
    const claim = claims.begin(workerId, { unique, fh, pid, uncached: true });
    const found = reader.seek(handles.slot(fh), offset, whence === SEEK_DATA ? 'data' : 'hole');
    if (!claims.win(workerId, claim)) return true;
    if (found === undefined || handles.state(fh) === HandleState.fenced) return false;
    // Beyond the image there is neither data nor a hole of it, whatever the source holds there.
    if (whence === SEEK_DATA && found >= size) replies.fail(unique, 'ENXIO');
    else replies.sendNumber(unique, Math.min(found, size));
    return true;
  }
}
