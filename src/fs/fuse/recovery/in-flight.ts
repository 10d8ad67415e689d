import { closeSync, constants, fstatSync, openSync, rmSync, writeSync } from 'node:fs';
import { reasonOf } from '../../../errors.js';
import type { Log } from '../../../log.js';
import { createKeptSync } from '../../../sys/files/kept-file.js';
import type { InFlightShare } from '../shared/in-flight-slots.js';
import { InFlightSlots, IN_FLIGHT_BYTES, MAX_SLOTS, SLOT_BYTES } from '../shared/in-flight-slots.js';
import type { SystemCalls } from '../../../sys/calls/system-calls.js';
import { INTERRUPT } from '../protocol/opcodes.js';

export interface InFlightParts {
  /** In a tmpfs, as run_dir is. */
  readonly path: string;
  /** Forgets what an earlier mount left there. */
  readonly fresh: boolean;
  /** Threads that read requests. */
  readonly workers: number;
  readonly calls: SystemCalls;
  readonly log: Log;
}

/** Slots that are added at a time, and how many are kept free beyond one per reader. */
const GROWTH = 64;
const SPARE = 16;

/**
 * The requests of the kernel that were read and not answered, where the kernel itself cannot send them again: kept in
 * memory that outlives this process (InFlightSlots) for the engine after this one. The main thread's side: it owns the
 * file and the slots of requests that it answers.
 */
export class InFlight {
  readonly share: InFlightShare;
  readonly #slots: InFlightSlots;
  readonly #kept = new Map<bigint, number>();
  readonly #parts: InFlightParts;
  readonly #fd: number;
  #full = false;

  /** Throws where there is no room for it. */
  constructor(parts: InFlightParts) {
    const { path, fresh, workers, calls } = parts;
    this.#parts = parts;
    if (fresh) removeInFlight(path);
    this.#fd = fresh ? createKeptSync(path) : openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
    const address = calls.mapShared(this.#fd, IN_FLIGHT_BYTES);
    this.share = { address, workers, state: InFlightSlots.state(workers) };
    this.#slots = new InFlightSlots(this.share, calls.memoryAt(address, IN_FLIGHT_BYTES));
    this.#slots.there = Math.min(MAX_SLOTS, Math.floor(fstatSync(this.#fd).size / SLOT_BYTES));
    if (fresh) this.#grow();
  }

  /**
   * The requests that an earlier engine left unanswered, oldest first; `waits` knows whether the kernel still waits for
   * one. Before any thread reads.
   */
  left(waits: (unique: bigint) => boolean): readonly Buffer[] {
    const left: { unique: bigint; bytes: Buffer }[] = [];
    for (let slot = 0; slot < this.#slots.there; slot += 1) {
      const request = this.#slots.request(slot);
      // An interrupt of a request that waits comes again by itself (KernelChannel.waits).
      if (request === undefined || (request.unique & INTERRUPT) !== 0n || !waits(request.unique)) {
        this.#slots.free(slot);
        continue;
      }
      this.#slots.claim(slot);
      this.took(request.unique, slot);
      left.push(request);
    }
    return left.sort((a, b) => (a.unique < b.unique ? -1 : 1)).map(({ bytes }) => bytes);
  }

  /** A request is the main thread's from now on, and so is its slot. */
  took(unique: bigint, slot: number): void {
    this.#kept.set(unique, slot);
    if (this.#slots.there - this.#kept.size - this.#parts.workers < SPARE) this.#grow();
  }

  /** A slot for a read on this thread, in which the next request is to land; undefined when all are taken. */
  reserve(): number | undefined {
    return this.#slots.takeNow();
  }

  room(slot: number): Buffer {
    return this.#slots.bytes(slot);
  }

  /** What was read into a reserved slot wants no answer. */
  giveBack(slot: number): void {
    this.#slots.free(slot);
  }

  /** A request was answered. */
  answered(unique: bigint): void {
    const slot = this.#kept.get(unique);
    if (slot === undefined) return;
    this.#kept.delete(unique);
    this.#slots.free(slot);
    if (this.#kept.size < this.#slots.there / 2) this.#full = false;
  }

  /** A worker is gone; the request that it had read and left unanswered. */
  vacate(workerId: number): Buffer | undefined {
    const slot = this.#slots.held(workerId);
    this.#slots.hold(workerId, undefined);
    const request = slot === undefined ? undefined : this.#slots.request(slot);
    if (slot !== undefined && request === undefined) this.#slots.free(slot);
    if (slot !== undefined && request !== undefined) this.took(request.unique, slot);
    return request?.bytes;
  }

  /** The mount has ended. */
  remove(): void {
    closeSync(this.#fd);
    removeInFlight(this.#parts.path);
  }

  /** By writing: touching memory that the file system has no room for would end the process. */
  #grow(): void {
    const { there } = this.#slots;
    try {
      if (there >= MAX_SLOTS) throw new Error(`${MAX_SLOTS} requests wait`);
      writeSync(this.#fd, Buffer.alloc(GROWTH * SLOT_BYTES), 0, GROWTH * SLOT_BYTES, there * SLOT_BYTES);
      this.#slots.there = there + GROWTH;
    } catch (error) {
      if (there === 0) throw error;
      if (!this.#full)
        this.#parts.log.warn(
          { reason: reasonOf(error), path: this.#parts.path },
          'request journal full; new requests block in the kernel',
        );
      this.#full = true;
    }
  }
}

/** Removes what is left of an earlier mount, if anything. */
export function removeInFlight(path: string): void {
  rmSync(path, { force: true });
}
