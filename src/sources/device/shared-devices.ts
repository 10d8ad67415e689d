const PLACES = 2 ** 15;
const WORDS = 11;
const DIRECT_FD = 0;
const CACHED_FD = 1;
/** A length, and as many bytes. */
const TAG = 2;
const TAG_BYTES = (WORDS - TAG - 1) * 4;

/** One device as workers read it. */
export interface OpenDevice {
  /** Opened O_DIRECT where the device can do that; else the same as `cachedFd`. */
  readonly directFd: number;
  /** Reads through the host's page cache. */
  readonly cachedFd: number;
  /** See DeviceSource.identityTag. */
  readonly tag: Buffer | undefined;
}

/** The devices that workers read, in memory that every thread sees. The main thread owns every write. */
export class SharedDevices {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #bytes: Buffer;
  readonly #free: number[] = [];
  #next = 0;

  /** `memory` joins the devices of another thread. */
  constructor(memory = new SharedArrayBuffer(PLACES * WORDS * 4)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#bytes = Buffer.from(memory);
  }

  /** Main: a slot for an open device; undefined when there is none left, or its tag is too long. */
  publish({ directFd, cachedFd, tag }: OpenDevice): number | undefined {
    if (tag !== undefined && tag.length > TAG_BYTES) return undefined;
    const slot = this.#free.pop() ?? (this.#next < PLACES ? this.#next++ : undefined);
    if (slot === undefined) return undefined;
    const at = slot * WORDS;
    this.#words[at + DIRECT_FD] = directFd;
    this.#words[at + CACHED_FD] = cachedFd;
    this.#words[at + TAG] = tag?.length ?? 0;
    tag?.copy(this.#bytes, (at + TAG + 1) * 4);
    return slot;
  }

  /** Main: no file is open on it any more. */
  withdraw(slot: number): void {
    this.#free.push(slot);
  }

  directFd(slot: number): number {
    return this.#words[slot * WORDS + DIRECT_FD] ?? -1;
  }

  cachedFd(slot: number): number {
    return this.#words[slot * WORDS + CACHED_FD] ?? -1;
  }

  tag(slot: number): Buffer | undefined {
    const at = slot * WORDS + TAG;
    const length = this.#words[at] ?? 0;
    return length === 0 ? undefined : this.#bytes.subarray((at + 1) * 4, (at + 1) * 4 + length);
  }
}
