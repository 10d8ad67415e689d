import { constants } from 'node:fs';
import type { WorkerReplies } from '../channel/worker-channel.js';
import { RESENT } from '../protocol/opcodes.js';
import { FEW } from '../shared/shared-opens.js';
import type { SharedOpens, Wanted } from '../shared/shared-opens.js';
import { writeWholeSync } from '../../../sys/files/kept-file.js';

export interface WorkerOpensParts {
  readonly workerId: number;
  readonly opens: SharedOpens;
  readonly replies: Pick<WorkerReplies, 'sendOpened'>;
  /** Milliseconds of the system's uptime. */
  readonly uptime: () => number;
  /** Tells the main thread what became of a slot that was taken, where it has to know. */
  readonly tell: (slot: number, outcome: OpenOutcome) => void;
}

/**
 * `few`: it is open, and more are to be prepared. `lost`: its caller was gone before it was answered. `failed`: the
 * journal could not be written.
 */
export type OpenOutcome = 'few' | 'lost' | 'failed';

/** Flags of open(2) that ask for more than reading: the main thread refuses them. */
const CHANGES = constants.O_WRONLY | constants.O_RDWR | constants.O_TRUNC | constants.O_CREAT;

/** OPEN of an image that is open already, answered on the worker's own thread where the main thread prepared that. */
export class WorkerOpens {
  readonly #parts: WorkerOpensParts;

  constructor(parts: WorkerOpensParts) {
    this.#parts = parts;
  }

  /** False: not answered, the main thread must. */
  serve(wanted: Wanted, flags: number): boolean {
    const { workerId, opens, replies, uptime, tell } = this.#parts;
    // One that comes again may have been answered by an engine that is dead.
    if ((flags & CHANGES) !== 0 || (wanted.unique & RESENT) !== 0n) return false;
    const now = uptime();
    const slot = opens.take(workerId, wanted, now);
    if (slot === undefined) return false;
    try {
      const line = opens.line(slot);
      if (line !== undefined) writeWholeSync(line.fd, line.bytes, line.at);
    } catch {
      tell(slot, 'failed');
      return false;
    }
    // Before the answer: what comes for the file may overtake us.
    const { fh, flags: openFlags, backingId } = opens.give(slot);
    const isOpen = replies.sendOpened(wanted.unique, fh, openFlags, backingId);
    if (!isOpen) tell(slot, 'lost');
    // Waking the main thread takes the processor from the caller: not for each.
    else if (opens.opened(slot, wanted, now) <= FEW) tell(slot, 'few');
    return true;
  }
}
