/**
 * Opens that are prepared in advance, in memory that every thread sees: a worker answers OPEN of an image that is open
 * already with one of them, without the main thread.
 *
 * A slot is the main thread's while it is free. It offers it (ready); one worker takes it, notes the open in the journal
 * and only then says that it is given; once the kernel has the answer it is opened. From ready the main thread may take
 * it back at any time: one compare-and-swap decides which side has the slot. From taken to opened it is the worker's.
 */
export const OpenState = { free: 0, ready: 1, taken: 2, given: 3, opened: 4 } as const;
export type OpenState = (typeof OpenState)[keyof typeof OpenState];

/** What a worker needs to answer an OPEN. */
export interface OfferedOpen {
  readonly node: number;
  readonly uid: number;
  readonly fh: number;
  /** OpenFlag bits of the answer, and its backing id or 0. */
  readonly flags: number;
  readonly backingId: number;
  /** Milliseconds of the system's uptime from which on it must not be given any more. */
  readonly until: number;
  /** Where in the journal it is noted; undefined without a journal. */
  readonly line: JournalLine | undefined;
}

/** A line of the journal that waits to be written. */
export interface JournalLine {
  readonly fd: number;
  readonly at: number;
  readonly text: string;
  /** Where the 20 digits of the request's number are in `text`. */
  readonly uniqueAt: number;
}

export interface Wanted {
  readonly node: number;
  readonly uid: number;
  readonly unique: bigint;
}

const SLOTS = 32;
const SLOT_BYTES = 2048;
const WORDS = SLOT_BYTES / 4;
/** An OpenState, and above it how often the slot was offered: a slot that was offered anew is never taken for the old one. */
const STATE = 0;
const KIND = 7;
const OFFERS = 8;
const WORKER = 1;
const UID = 2;
const FLAGS = 3;
const BACKING = 4;
const FD = 5;
const LENGTH = 6;
const UNIQUE_AT = 7;
/** Of eight bytes each, in units of those. */
const WIDE = SLOT_BYTES / 8;
const NODE = 4;
const FH = 5;
const UNTIL = 6;
const AT = 7;
const UNIQUE = 8;
const TEXT = 72;
export const LONGEST_LINE = SLOT_BYTES - TEXT;
export const UNIQUE_DIGITS = 20;
/** How many opens of one file are prepared at a time, and how few are few. */
export const SPARES = 8;
export const FEW = 4;

export class SharedOpens {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  readonly #uniques: BigUint64Array;
  readonly #bytes: Buffer;

  constructor(memory = new SharedArrayBuffer(SLOTS * SLOT_BYTES)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#doubles = new Float64Array(memory);
    this.#uniques = new BigUint64Array(memory);
    this.#bytes = Buffer.from(memory);
  }

  get slots(): number {
    return SLOTS;
  }

  state(slot: number): OpenState {
    return kindOf(this.#word(slot));
  }

  /** Main: offers a free slot to the workers. The line is not longer than LONGEST_LINE. */
  offer(slot: number, { node, uid, fh, flags, backingId, until, line }: OfferedOpen): void {
    const at = slot * WORDS;
    this.#words[at + UID] = uid;
    this.#words[at + FLAGS] = flags;
    this.#words[at + BACKING] = backingId;
    this.#words[at + FD] = line?.fd ?? -1;
    this.#words[at + LENGTH] = line === undefined ? 0 : Buffer.byteLength(line.text);
    this.#words[at + UNIQUE_AT] = line?.uniqueAt ?? 0;
    const wide = slot * WIDE;
    this.#doubles[wide + NODE] = node;
    this.#doubles[wide + FH] = fh;
    this.#doubles[wide + UNTIL] = until;
    this.#doubles[wide + AT] = line?.at ?? 0;
    this.#uniques[wide + UNIQUE] = 0n;
    this.#bytes.write(line?.text ?? '', slot * SLOT_BYTES + TEXT);
    this.#become(slot, this.#word(slot) + OFFERS, OpenState.ready);
  }

  /** Main: takes an offer back. False: it was taken. */
  withdraw(slot: number): boolean {
    const word = this.#word(slot);
    return kindOf(word) === OpenState.ready && this.#swap(slot, word, OpenState.free);
  }

  /** Main: the slot is its own again. */
  free(slot: number): void {
    this.#become(slot, this.#word(slot), OpenState.free);
  }

  /** The worker that took the slot last. */
  workerId(slot: number): number {
    return this.#words[slot * WORDS + WORKER] ?? 0;
  }

  /** The request that the slot was taken for. */
  unique(slot: number): bigint {
    return this.#uniques[slot * WIDE + UNIQUE] ?? 0n;
  }

  /** Worker: a slot for that request, now its own; undefined when none is offered at `now` of the system's uptime. */
  take(workerId: number, wanted: Wanted, now: number): number | undefined {
    for (let slot = 0; slot < SLOTS; slot += 1) {
      const word = this.#word(slot);
      if (kindOf(word) !== OpenState.ready || !this.#fits(slot, wanted, now)) continue;
      // Fails as well where the main thread has offered another file there since the look.
      if (!this.#swap(slot, word, OpenState.taken)) continue;
      this.#words[slot * WORDS + WORKER] = workerId;
      this.#uniques[slot * WIDE + UNIQUE] = wanted.unique;
      return slot;
    }
    return undefined;
  }

  /** Worker: the line of the journal that says what is opened, and where it is written; undefined without a journal. */
  line(slot: number): { readonly fd: number; readonly at: number; readonly bytes: Buffer } | undefined {
    const word = slot * WORDS;
    const fd = this.#words[word + FD] ?? -1;
    if (fd < 0) return undefined;
    const start = slot * SLOT_BYTES + TEXT;
    const digits = String(this.unique(slot)).padStart(UNIQUE_DIGITS, '0');
    this.#bytes.write(digits, start + (this.#words[word + UNIQUE_AT] ?? 0));
    const bytes = this.#bytes.subarray(start, start + (this.#words[word + LENGTH] ?? 0));
    return { fd, at: this.#doubles[slot * WIDE + AT] ?? 0, bytes };
  }

  /** Worker: it is noted. What the kernel is told of it. */
  give(slot: number): { readonly fh: number; readonly flags: number; readonly backingId: number } {
    const word = slot * WORDS;
    const fh = this.#doubles[slot * WIDE + FH] ?? 0;
    const given = { fh, flags: this.#words[word + FLAGS] ?? 0, backingId: this.#words[word + BACKING] ?? 0 };
    this.#become(slot, this.#word(slot), OpenState.given);
    return given;
  }

  /** Worker: the kernel has it. How many more there are for that user and file: the main thread is told of few. */
  opened(slot: number, wanted: Wanted, now: number): number {
    this.#become(slot, this.#word(slot), OpenState.opened);
    let left = 0;
    for (let other = 0; other < SLOTS; other += 1)
      if (this.state(other) === OpenState.ready && this.#fits(other, wanted, now)) left += 1;
    return left;
  }

  #fits(slot: number, { node, uid }: Wanted, now: number): boolean {
    const wide = slot * WIDE;
    return (
      this.#doubles[wide + NODE] === node &&
      // User ids go beyond 2^31, words of an Int32Array do not.
      this.#words[slot * WORDS + UID] === (uid | 0) &&
      now < (this.#doubles[wide + UNTIL] ?? 0)
    );
  }

  #word(slot: number): number {
    return Atomics.load(this.#words, slot * WORDS + STATE);
  }

  #become(slot: number, word: number, state: OpenState): void {
    Atomics.store(this.#words, slot * WORDS + STATE, (word & ~KIND) | state);
  }

  #swap(slot: number, word: number, to: OpenState): boolean {
    const at = slot * WORDS + STATE;
    return Atomics.compareExchange(this.#words, at, word, (word & ~KIND) | to) === word;
  }
}

function kindOf(word: number): OpenState {
  return (word & KIND) as OpenState;
}
