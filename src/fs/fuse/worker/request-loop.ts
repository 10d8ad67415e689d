import { LITTLE } from '../../../sys/calls/struct.js';
import type { WorkerChannel } from '../channel/worker-channel.js';
import { IN_HEADER } from '../protocol/messages.js';
import { WITHOUT_ANSWER } from '../protocol/opcodes.js';
import type { ReplyOwnership } from '../shared/reply-ownership.js';
import type { WorkerAnswers } from './answers.js';
import type { FromWorker, ToWorker } from './messages.js';

export interface RequestLoopParts {
  readonly workerId: number;
  readonly channel: WorkerChannel;
  readonly claims: ReplyOwnership;
  readonly answers: WorkerAnswers;
  /** Requests are kept for the engine after this one (InFlightShare). */
  readonly keeps: boolean;
  readonly tell: (message: FromWorker) => void;
  /** The next message of the main thread; undefined: there is none yet. */
  readonly message: () => ToWorker | undefined;
}

/** Receives requests, answers some, forwards the rest to the main thread. */
export class RequestLoop {
  readonly #parts: RequestLoopParts;

  constructor(parts: RequestLoopParts) {
    this.#parts = parts;
  }

  /** Blocks its thread. Returns when the mount has ended or the main thread needs this worker no more. */
  run(): void {
    const { workerId, channel, claims, answers } = this.#parts;
    const { requests } = channel;
    for (;;) {
      const length = requests.receive();
      if (length === undefined) break;
      if (answers.answer(length)) requests.done();
      else this.#forward(length);
      claims.settle(workerId);
      if (claims.recalled(workerId) && this.#serveWhileRecalled() === 'retire') break;
    }
    channel.pages.discard();
  }

  /** Sends a request to the main thread. */
  #forward(length: number): void {
    const { keeps, tell, channel } = this.#parts;
    const { requests } = channel;
    const { request, view } = requests;
    const bytes = new Uint8Array(request.subarray(0, length));
    if (keeps && !WITHOUT_ANSWER.has(view.getUint32(IN_HEADER.offsets.opcode, LITTLE))) {
      requests.pass((slot) => tell({ kind: 'kept', bytes, slot }));
      return;
    }
    tell(bytes);
    requests.done();
  }

  /** This worker's read had stalled: it now takes the queued reads of that source, one by one, until told otherwise. */
  #serveWhileRecalled(): 'rejoin' | 'retire' {
    const { workerId, claims, answers, tell } = this.#parts;
    let waiting: FromWorker = { kind: 'waiting' };
    for (;;) {
      tell(waiting);
      const message = this.#nextMessage();
      if (message.kind !== 'read') return message.kind;
      waiting = { kind: 'waiting', answered: message.job.unique };
      if (!answers.read(message.job)) {
        tell({ kind: 'refused', job: message.job });
        waiting = { kind: 'waiting' };
      }
      claims.settle(workerId);
      // A job can stall and be recalled as well: the next 'waiting' answers that, too.
      claims.recalled(workerId);
    }
  }

  #nextMessage(): ToWorker {
    const { workerId, claims } = this.#parts;
    for (;;) {
      const seen = claims.rung(workerId);
      const message = this.#parts.message();
      if (message !== undefined) return message;
      claims.awaitRing(workerId, seen);
    }
  }
}
