import { constants } from 'node:fs';
import { CinderfsError, reasonOf } from '../../../errors.js';
import type { Clock } from '../../../async/clock.js';
import { withDeadline } from '../../../async/deadline.js';
import type { Log } from '../../../log.js';
import { followCaller } from '../protocol/caller-signals.js';
import { CONTROL_OPERATIONS } from './control-operations.js';
import type { KernelChannel } from '../channel/kernel-channel.js';
import { DIRECTORY_OPERATIONS } from './directory-operations.js';
import { errnoOf } from '../protocol/errno.js';
import { FILE_OPERATIONS, readHere } from './file-operations.js';
import { NODE_OPERATIONS } from './node-operations.js';
import type { BoundOperation, Operation, OperationContext, Outcome, Waits } from './operation.js';
import { answer, refuse, UNANSWERED } from './operation.js';
import { READ_IN } from '../protocol/messages.js';
import { Opcode, opcodeName } from '../protocol/opcodes.js';
import type { AgingRead } from '../recovery/read-ages.js';
import { agingRead } from '../recovery/read-ages.js';
import type { Request } from '../protocol/request.js';
import { decodeRequest } from '../protocol/request.js';
import type { QueuedRead } from '../pool/pool-worker.js';

const OPERATIONS: Readonly<Record<number, Operation | undefined>> = {
  ...NODE_OPERATIONS,
  ...DIRECTORY_OPERATIONS,
  ...FILE_OPERATIONS,
  ...CONTROL_OPERATIONS,
};

export interface DispatcherParts {
  readonly context: Omit<OperationContext, 'interrupt'>;
  readonly channel: Pick<KernelChannel, 'reply' | 'fail'>;
  readonly clock: Clock;
  readonly readTimeoutMs: number;
  readonly openTimeoutMs: number;
  readonly log: Log;
  /** A READ that waited since then was failed at its deadline. */
  readonly onExpired?: (read: AgingRead, since: number) => void;
  /** An interrupt for a request that is not pending here. False: it is nowhere. */
  readonly onInterrupt: (unique: bigint) => boolean;
}

/** How long a signal may wait before it ends a read: a healthy one is answered by then, a regular file's as usual. */
const READ_PATIENCE_MS = 200;

interface Pending {
  readonly request: Request;
  readonly controller: AbortController;
}

/**
 * Takes requests from the workers, runs them, answers each exactly once, at its deadline at the latest. What arrives
 * too late for its caller is taken back (Answer.undelivered).
 */
export class Dispatcher {
  readonly #parts: DispatcherParts;
  readonly #context: OperationContext;
  readonly #pending = new Map<bigint, Pending>();

  constructor(parts: DispatcherParts) {
    this.#parts = parts;
    this.#context = { ...parts.context, interrupt: (unique) => this.#interrupt(unique) };
  }

  /** Requests that wait for an answer. */
  get pending(): number {
    return this.#pending.size;
  }

  /**
   * One request of the kernel, which came at `since` of the clock. Malformed ones are dropped with a log line; there is
   * no caller to answer.
   */
  dispatch(bytes: Buffer, since = this.#parts.clock.now()): void {
    const request = decodeRequest(bytes);
    if (request === undefined) {
      this.#parts.log.warn({ bytes: bytes.length }, 'a malformed request was dropped');
      return;
    }
    // It is answered once; run twice, it would open a second file that the kernel never closes.
    if (this.#pending.has(request.unique)) {
      this.#parts.log.warn({ op: opcodeName(request.opcode) }, 'a request came again before it was answered');
      return;
    }
    const known = OPERATIONS[request.opcode];
    if (known === undefined) {
      this.#parts.log.debug({ opcode: request.opcode }, 'an unknown request was refused');
      this.#parts.channel.fail(request.unique, 'ENOSYS');
      return;
    }
    const run = known.decode(request.body);
    if (run === undefined)
      this.#parts.log.warn(
        { op: opcodeName(request.opcode), bytes: bytes.length },
        'a malformed request was dropped',
      );
    else void this.#run(request, run, since);
  }

  /** A READ that a worker had taken and gave back. */
  read({ job, since }: QueuedRead): void {
    const { unique, pid, fh } = job;
    const flags = job.uncached ? constants.O_DIRECT : 0;
    const body = READ_IN.encode({ fh, offset: job.offset, size: job.length, flags });
    const request = { opcode: Opcode.READ, unique, node: 0, uid: 0, pid, body };
    const run: BoundOperation = async (context, _, waits) => {
      const opened = context.files.get(fh) ?? (await context.earlier.get(fh));
      return opened === undefined ? refuse('EBADF') : answer(await readHere(context, opened, job, waits));
    };
    void this.#run(request, run, since);
  }

  /** Ends every wait, for the end of the mount: what arrives later is taken back. */
  abandon(): void {
    for (const { controller } of this.#pending.values()) controller.abort();
  }

  async #run(request: Request, run: BoundOperation, since: number): Promise<void> {
    const controller = new AbortController();
    const waits = { signal: controller.signal, since, waitedMs: this.#parts.clock.now() - since };
    try {
      const started = run(this.#context, request, waits);
      if (!(started instanceof Promise)) {
        this.#answer(request, started);
        return;
      }
      this.#pending.set(request.unique, { request, controller });
      this.#answer(request, await this.#waitFor(started, request, waits));
    } catch (error) {
      this.#refuse(request, error, since);
    } finally {
      this.#pending.delete(request.unique);
    }
  }

  #waitFor(work: Promise<Outcome>, request: Request, { signal, since }: Waits): Promise<Outcome> {
    const { clock, readTimeoutMs, openTimeoutMs } = this.#parts;
    const reading = request.opcode === Opcode.READ;
    const ms = reading ? readTimeoutMs : openTimeoutMs;
    return withDeadline(work, {
      clock,
      ms: Math.max(0, since + ms - clock.now()),
      signal,
      onTimeout: () =>
        new CinderfsError(
          reading ? 'read_timeout' : 'attach_timeout',
          `${opcodeName(request.opcode)} of node ${request.node} was not answered within ${ms} ms`,
        ),
      onLate: takeBack,
    });
  }

  #answer({ unique }: Request, outcome: Outcome): void {
    if (outcome === UNANSWERED) return;
    if ('errno' in outcome) this.#parts.channel.fail(unique, outcome.errno);
    else if (!this.#parts.channel.reply(unique, outcome.payload)) takeBack(outcome);
  }

  #refuse(request: Request, thrown: unknown, since: number): void {
    const error = CinderfsError.from(thrown);
    const read = error.code === 'read_timeout' ? agingRead(request) : undefined;
    if (read !== undefined) this.#parts.onExpired?.(read, since);
    this.#parts.channel.fail(request.unique, errnoOf(thrown));
    this.#parts.log[error.kind.level](
      { op: opcodeName(request.opcode), node: request.node, code: error.code, cause: causeOf(error) },
      error.toLine(),
    );
  }

  #interrupt(unique: bigint): boolean {
    const pending = this.#pending.get(unique);
    if (pending === undefined) return this.#parts.onInterrupt(unique);
    const reading = pending.request.opcode === Opcode.READ;
    followCaller(pending.request.pid, {
      clock: this.#parts.clock,
      patienceMs: reading ? READ_PATIENCE_MS : 0,
      waits: () => this.#pending.get(unique) === pending,
      leaves: () => pending.controller.abort(),
    });
    return true;
  }
}

/** Users are not told what a service or a driver said: the log is. */
function causeOf({ cause }: CinderfsError): string | undefined {
  return cause === undefined ? undefined : reasonOf(cause);
}

function takeBack(outcome: Outcome): void {
  if (outcome !== UNANSWERED && 'payload' in outcome) outcome.undelivered?.();
}
