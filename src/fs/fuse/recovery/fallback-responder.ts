import type { Clock } from '../../../async/clock.js';
import type { Log } from '../../../log.js';
import { followCaller } from '../protocol/caller-signals.js';
import type { KernelChannel } from '../channel/kernel-channel.js';
import type { ReplyErrno } from '../protocol/errno.js';
import type { RequestAges } from './request-ages.js';
import type { InFlight } from './in-flight.js';
import { INTERRUPT, Opcode, opcodeName, WITHOUT_ANSWER } from '../protocol/opcodes.js';
import { decodeRequest, type Request } from '../protocol/request.js';

/** No caller waits for these, and only an engine can do what they ask. */
const FOR_ENGINES = new Set<number>([Opcode.RELEASE, Opcode.RELEASEDIR]);

export interface FallbackResponderParts {
  readonly channel: Pick<KernelChannel, 'requestRoom' | 'receive' | 'fail' | 'waits' | 'resend'>;
  /** Where requests are kept, where the kernel does not send them again. */
  readonly inFlight: InFlight | undefined;
  readonly since: RequestAges;
  readonly readTimeoutMs: number;
  readonly openTimeoutMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

interface PendingRequest {
  readonly pid: number;
  /** Calls its deadline off. */
  readonly stop: () => void;
}

/**
 * Stands in for an engine while none lives: takes the requests of the kernel, holds each until its deadline and then
 * answers EIO. It knows no file, so that it has nothing to crash on. Killed, it leaves what it holds to the next
 * engine, which is sent it again or finds it where requests are kept.
 */
export class FallbackResponder {
  readonly #parts: FallbackResponderParts;
  readonly #held = new Map<bigint, PendingRequest>();
  readonly #room: Buffer;
  #onRoom: () => void = () => undefined;
  #gaveUp = false;

  constructor(parts: FallbackResponderParts) {
    this.#parts = parts;
    this.#room = parts.channel.requestRoom();
  }

  /** Resolves when the kernel has let go of the mount. */
  async run(): Promise<void> {
    const { channel, inFlight } = this.#parts;
    for (const bytes of inFlight?.left((unique) => channel.waits(unique)) ?? []) {
      const request = decodeRequest(bytes);
      if (request !== undefined) this.#take(request);
    }
    if (inFlight === undefined) channel.resend();
    while (await this.#next());
  }

  /** Takes one request; false when there will be none any more. */
  async #next(): Promise<boolean> {
    const { channel, inFlight } = this.#parts;
    const slot = await this.#slot();
    const room = slot === undefined ? this.#room : (inFlight?.room(slot) ?? this.#room);
    const length = await channel.receive(room);
    if (length === undefined) return false;
    const request = decodeRequest(Buffer.from(room.subarray(0, length)));
    const answered = request !== undefined && !WITHOUT_ANSWER.has(request.opcode);
    if (slot !== undefined && answered) inFlight?.took(request.unique, slot);
    else if (slot !== undefined) inFlight?.giveBack(slot);
    if (request !== undefined) this.#take(request);
    return true;
  }

  /** Where the next request is kept, undefined where none is; waits for an answer when all are taken. */
  async #slot(): Promise<number | undefined> {
    const { inFlight } = this.#parts;
    if (inFlight === undefined) return undefined;
    for (;;) {
      const slot = inFlight.reserve();
      if (slot !== undefined) return slot;
      await new Promise<void>((resolve) => (this.#onRoom = resolve));
    }
  }

  #take(request: Request): void {
    const { opcode, unique } = request;
    if (opcode === Opcode.INTERRUPT) this.#interrupt(unique & ~INTERRUPT);
    // As engines do: once refused so, the kernel never asks again.
    else if (opcode === Opcode.FLUSH) this.#answer(unique, 'ENOSYS');
    else if (!WITHOUT_ANSWER.has(opcode)) this.#hold(request);
  }

  #hold(request: Request): void {
    const { clock, since, readTimeoutMs, openTimeoutMs } = this.#parts;
    const { opcode, unique, pid } = request;
    const deadline = opcode === Opcode.READ ? readTimeoutMs : openTimeoutMs;
    const stop = FOR_ENGINES.has(opcode)
      ? (): void => undefined
      : clock.after(Math.max(0, deadline - since.age(unique)), () => this.#giveUp(request));
    this.#held.set(unique, { pid, stop });
  }

  /** Why is said once for all of them: one line for each request of a busy mount would hide it. */
  #giveUp({ opcode, unique, node }: Request): void {
    if (!this.#gaveUp)
      this.#parts.log.error(
        { op: opcodeName(opcode), node },
        'no engine serves the mount; its requests are answered EIO at their deadline',
      );
    this.#gaveUp = true;
    this.#answer(unique, 'EIO');
  }

  /** As an engine does: it may leave. */
  #interrupt(unique: bigint): void {
    const held = this.#held.get(unique);
    if (held === undefined) return;
    followCaller(held.pid, {
      clock: this.#parts.clock,
      patienceMs: 0,
      waits: () => this.#held.get(unique) === held,
      leaves: () => this.#answer(unique, 'EINTR'),
    });
  }

  #answer(unique: bigint, errno: ReplyErrno): void {
    const { channel, inFlight, since } = this.#parts;
    this.#held.get(unique)?.stop();
    this.#held.delete(unique);
    channel.fail(unique, errno);
    since.answered(unique);
    inFlight?.answered(unique);
    this.#onRoom();
  }
}
