import { systemCalls } from '../../../../sys/calls/system-calls.js';
import type { InFlightShare } from '../../shared/in-flight-slots.js';
import type { WorkerChannel, WorkerChannelHandle } from '../worker-channel.js';
import { Inbox } from './inbox.js';
import { MemoryReplies } from './memory-replies.js';
import { ReplyPipe } from './reply-pipe.js';

export interface WorkerSide {
  readonly workerId: number;
  /** Where requests are kept for the engine after this one, where the kernel does not do that. */
  readonly inFlight: InFlightShare | undefined;
  /** What sources are read into; a whole ArrayBuffer. */
  readonly memory: Buffer;
}

/** A worker's channel over /dev/fuse: read(2), write(2) and splice(2) on its descriptor. */
export function devFuseWorkerChannel({ fuseFd }: WorkerChannelHandle, side: WorkerSide): WorkerChannel {
  return {
    replies: new MemoryReplies(fuseFd, side.memory),
    pages: new ReplyPipe(fuseFd, systemCalls()),
    requests: new Inbox({ fuseFd, workerId: side.workerId, share: side.inFlight, calls: systemCalls }),
  };
}
