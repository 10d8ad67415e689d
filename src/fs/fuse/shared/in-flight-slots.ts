import { IN_HEADER } from '../protocol/messages.js';
import { PAGE_SIZE } from '../protocol/opcodes.js';
import { LITTLE } from '../../../sys/calls/struct.js';

/** What a thread needs to take part. */
export interface InFlightShare {
  /** Where the file is mapped, in every thread of this process. */
  readonly address: bigint;
  readonly state: SharedArrayBuffer;
  readonly workers: number;
}

/** The kernel refuses to hand a request to a reader with less room, and sends none longer that wants an answer. */
export const SLOT_BYTES = 2 * PAGE_SIZE;
/** Requests that may wait at a time, more than the kernel sends in the background (negotiation.ts). */
export const MAX_SLOTS = 8192;
export const IN_FLIGHT_BYTES = MAX_SLOTS * SLOT_BYTES;

const DOORBELL = 0;
const THERE = 1;
const HELD = 2;
const LENGTH = IN_HEADER.offsets.len;
const UNIQUE = IN_HEADER.offsets.unique;

/**
 * Slots of a file in memory, into which the kernel itself writes each request that is read: whatever kills this process,
 * a slot holds its request until it is answered. A slot is empty when its first word, the request's length, is 0; that,
 * the size of a slot and the request are all that the process after this one knows. Which worker has which slot is known in
 * memory of this process that every thread sees.
 */
export class InFlightSlots {
  readonly #memory: Buffer;
  readonly #view: DataView;
  readonly #words: Int32Array;
  readonly #taken: number;

  /** `memory`: the file, IN_FLIGHT_BYTES of it. */
  constructor({ state, workers }: Pick<InFlightShare, 'state' | 'workers'>, memory: Buffer) {
    this.#memory = memory;
    this.#view = new DataView(memory.buffer, memory.byteOffset, memory.length);
    this.#words = new Int32Array(state);
    this.#taken = HELD + workers;
  }

  /** The state of a file that has no slot yet. */
  static state(workers: number): SharedArrayBuffer {
    return new SharedArrayBuffer((HELD + workers + MAX_SLOTS) * Int32Array.BYTES_PER_ELEMENT);
  }

  /** Slots that the file has room for; beyond lies memory that must not be touched. */
  get there(): number {
    return Atomics.load(this.#words, THERE);
  }

  set there(slots: number) {
    Atomics.store(this.#words, THERE, slots);
    this.#ring();
  }

  /** An empty slot, now the caller's, low ones first so that few pages are ever used. Waits for one. */
  take(): number {
    for (;;) {
      const rung = Atomics.load(this.#words, DOORBELL);
      const slot = this.takeNow();
      if (slot !== undefined) return slot;
      Atomics.wait(this.#words, DOORBELL, rung);
    }
  }

  /** The same, undefined when there is none. */
  takeNow(): number | undefined {
    const { there } = this;
    for (let slot = 0; slot < there; slot += 1)
      if (Atomics.compareExchange(this.#words, this.#taken + slot, 0, 1) === 0) return this.#empty(slot);
    return undefined;
  }

  /** Takes a slot for the request that is in it. */
  claim(slot: number): void {
    Atomics.store(this.#words, this.#taken + slot, 1);
  }

  /** Empties a slot and gives it back. */
  free(slot: number): void {
    this.#empty(slot);
    Atomics.store(this.#words, this.#taken + slot, 0);
    this.#ring();
  }

  bytes(slot: number): Buffer {
    return this.#memory.subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES);
  }

  /** A copy of the request in a slot; undefined when it is empty. */
  request(slot: number): { readonly unique: bigint; readonly bytes: Buffer } | undefined {
    const at = slot * SLOT_BYTES;
    const length = this.#view.getUint32(at + LENGTH, LITTLE);
    if (length < IN_HEADER.size || length > SLOT_BYTES) return undefined;
    const unique = this.#view.getBigUint64(at + UNIQUE, LITTLE);
    return { unique, bytes: Buffer.from(this.#memory.subarray(at, at + length)) };
  }

  /** Notes which slot a worker reads into, for the process that survives it; undefined: none. */
  hold(workerId: number, slot: number | undefined): void {
    Atomics.store(this.#words, HELD + workerId, slot === undefined ? 0 : slot + 1);
  }

  held(workerId: number): number | undefined {
    const held = Atomics.load(this.#words, HELD + workerId);
    return held === 0 ? undefined : held - 1;
  }

  /** Also makes the page writable: the kernel cannot wait for that on behalf of a process that is being killed. */
  #empty(slot: number): number {
    this.#view.setUint32(slot * SLOT_BYTES + LENGTH, 0, LITTLE);
    return slot;
  }

  #ring(): void {
    Atomics.add(this.#words, DOORBELL, 1);
    Atomics.notify(this.#words, DOORBELL);
  }
}
