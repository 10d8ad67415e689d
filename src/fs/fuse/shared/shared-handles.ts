/**
 * Open files whose bytes workers may read themselves, in memory that every thread sees. The main thread owns every
 * write; a worker that is blocked on /dev/fuse knows the newest state the moment it wakes.
 *
 * A file handle (`fh`) is generation * 2^16 + entry. An entry that was reused has another generation, so that a stale
 * `fh` is never taken for the new file. Entry 0 is never in use: an `fh` on it is always the main thread's.
 */
export const HandleState = {
  free: 0,
  /** Workers read the source themselves. */
  inline: 1,
  /** The source stalls: reads go to the main thread, which queues them (stalled-reads.ts). */
  queued: 2,
  /** The bytes must not be served any more; the main thread answers with the reason. */
  fenced: 3,
} as const;
export type HandleState = (typeof HandleState)[keyof typeof HandleState];

/** What a worker needs to read one open file. */
export interface SharedHandle {
  /** Bytes of the image: no byte beyond is ever served, however long the source is. */
  readonly size: number;
  /** Which kind of source it is (SourceKinds.indexOf), and by what the worker half of that kind finds it. */
  readonly kind: number;
  readonly slot: number;
  /** What pieces of the source are kept under (Descriptor.number); 0 where none are. */
  readonly number: number;
}

const ENTRIES = 2 ** 15;
/** Entries there could be in an `fh`; its generation counts in these. */
export const FH_ENTRIES = 2 ** 16;
const WORDS = 8;
const STATE = 0;
const GENERATION = 1;
/** A double: sizes go beyond 32 bits. */
const SIZE = 2;
const KIND = 4;
const SLOT = 5;
const NUMBER = 6;

export class SharedHandles {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;

  constructor(memory = new SharedArrayBuffer(ENTRIES * WORDS * 4)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#doubles = new Float64Array(memory);
  }

  get entries(): number {
    return ENTRIES;
  }

  /** Publishes an open file; workers may serve it from now on. */
  publish(fh: number, handle: SharedHandle, state: HandleState): void {
    const at = wordOf(fh);
    this.#words[at + GENERATION] = generationOf(fh);
    this.#words[at + KIND] = handle.kind;
    this.#words[at + SLOT] = handle.slot;
    this.#words[at + NUMBER] = handle.number;
    this.#doubles[(at + SIZE) / 2] = handle.size;
    Atomics.store(this.#words, at + STATE, state);
  }

  setState(fh: number, state: HandleState): void {
    Atomics.store(this.#words, wordOf(fh) + STATE, state);
  }

  /** The state of `fh`; free when its entry belongs to another file by now. */
  state(fh: number): HandleState {
    const at = wordOf(fh);
    const state = Atomics.load(this.#words, at + STATE) as HandleState;
    return this.#words[at + GENERATION] === generationOf(fh) ? state : HandleState.free;
  }

  kind(fh: number): number {
    return this.#words[wordOf(fh) + KIND] ?? 0;
  }

  slot(fh: number): number {
    return this.#words[wordOf(fh) + SLOT] ?? 0;
  }

  number(fh: number): number {
    return this.#words[wordOf(fh) + NUMBER] ?? 0;
  }

  size(fh: number): number {
    return this.#doubles[(wordOf(fh) + SIZE) / 2] ?? 0;
  }
}

/** The `fh` of a generation of an entry. */
export function handleNumber(generation: number, entry: number): number {
  return generation * FH_ENTRIES + entry;
}

export function entryOf(fh: number): number {
  return fh % FH_ENTRIES;
}

function wordOf(fh: number): number {
  return (entryOf(fh) % ENTRIES) * WORDS;
}

function generationOf(fh: number): number {
  return Math.floor(fh / FH_ENTRIES) | 0;
}
