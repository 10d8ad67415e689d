import { InFlightSlots, IN_FLIGHT_BYTES, type InFlightShare } from '../../shared/in-flight-slots.js';
import type { SystemCalls } from '../../../../sys/calls/system-calls.js';
import { IN_HEADER } from '../../protocol/messages.js';
import { REQUEST_ROOM } from '../../protocol/opcodes.js';
import type { WorkerRequests } from '../worker-channel.js';
import { receiveSync } from './receive.js';
import { requestRoom } from './request-room.js';
import { LITTLE } from '../../../../sys/calls/struct.js';

export interface InboxParts {
  readonly fuseFd: number;
  readonly workerId: number;
  readonly share: InFlightShare | undefined;
  readonly calls: () => SystemCalls | undefined;
}

/** Where a worker reads requests into: memory of its own, or slots that outlive the process (InFlightSlots). */
export class Inbox implements WorkerRequests {
  request: Buffer;
  view: DataView;
  readonly #fuseFd: number;
  readonly #slots: InFlightSlots | undefined;
  readonly #workerId: number;
  #slot = -1;

  constructor({ fuseFd, workerId, share, calls }: InboxParts) {
    this.#fuseFd = fuseFd;
    this.#workerId = workerId;
    this.request = share === undefined ? requestRoom(REQUEST_ROOM, calls()) : Buffer.from(new ArrayBuffer(0));
    this.view = new DataView(this.request.buffer);
    if (share === undefined) return;
    const memory = calls()?.memoryAt(share.address, IN_FLIGHT_BYTES);
    if (memory === undefined) throw new Error('the main thread has koffi');
    this.#slots = new InFlightSlots(share, memory);
    this.#next(this.#slots);
  }

  receive(): number | undefined {
    return receiveSync(this.#fuseFd, this.request);
  }

  done(): void {
    if (this.#slots !== undefined) this.view.setUint32(IN_HEADER.offsets.len, 0, LITTLE);
  }

  pass(give: (slot: number) => void): void {
    const slots = this.#slots;
    if (slots === undefined) return;
    // Before: the side that gets the slot may free it, and another worker take it, while this one dies.
    slots.hold(this.#workerId, undefined);
    give(this.#slot);
    this.#next(slots);
  }

  #next(slots: InFlightSlots): void {
    this.#slot = slots.take();
    slots.hold(this.#workerId, this.#slot);
    this.request = slots.bytes(this.#slot);
    this.view = new DataView(this.request.buffer, this.request.byteOffset, this.request.length);
  }
}
