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
  /** The source stalls: reads go to the main thread, which queues them (read-lanes.ts). */
  queued: 2,
  /** The bytes must not be served any more; the main thread answers with the reason. */
  fenced: 3,
} as const;
export type HandleState = (typeof HandleState)[keyof typeof HandleState];

/** What a worker needs to read one open file. */
export interface SharedHandle {
  /** Bytes of the image: no byte beyond is ever served, however long the source is. */
  readonly size: number;
  /** -1 when the source is an NBD export or an RBD image. */
  readonly fd: number;
  /** `fd` was opened O_DIRECT: offsets, lengths and memory must be aligned. */
  readonly direct: boolean;
  /** For readers that have the file open O_DIRECT: reads through the host's page cache. -1: they are not served here. */
  readonly cachedFd: number;
  /** The place of the NBD export (shared-exports.ts); 0 when the source is something else. */
  readonly place: number;
  /** The place of the RBD image (shared-images.ts); 0 when the source is something else. */
  readonly image: number;
  /** A number that no other export or image of this process ever has; 0 when the source is a file or a device. */
  readonly source: number;
  /** What its device has to say after every read (FileSource.says); undefined where it need not. */
  readonly says: Buffer | undefined;
}

const ENTRIES = 2 ** 15;
/** Entries there could be in an `fh`; its generation counts in these. */
export const FH_ENTRIES = 2 ** 16;
const WORDS = 18;
const STATE = 0;
const GENERATION = 1;
const FD = 2;
const DIRECT = 3;
/** A double: sizes go beyond 32 bits. */
const SIZE = 4;
const CACHED_FD = 6;
const PLACE = 7;
const IMAGE = 8;
const SOURCE = 9;
/** A length, and as many bytes. */
const SAYS = 10;
const SAYS_BYTES = (WORDS - SAYS - 1) * 4;

export class SharedHandles {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  readonly #bytes: Buffer;

  constructor(memory = new SharedArrayBuffer(ENTRIES * WORDS * 4)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#doubles = new Float64Array(memory);
    this.#bytes = Buffer.from(memory);
  }

  get entries(): number {
    return ENTRIES;
  }

  /** Publishes an open file; workers may serve it from now on. */
  publish(fh: number, handle: SharedHandle, state: HandleState): void {
    const at = wordOf(fh);
    this.#words[at + GENERATION] = generationOf(fh);
    this.#words[at + FD] = handle.fd;
    this.#words[at + DIRECT] = handle.direct ? 1 : 0;
    this.#words[at + CACHED_FD] = handle.cachedFd;
    this.#words[at + PLACE] = handle.place;
    this.#words[at + IMAGE] = handle.image;
    this.#words[at + SOURCE] = handle.source;
    this.#doubles[(at + SIZE) / 2] = handle.size;
    this.#words[at + SAYS] = handle.says?.length ?? 0;
    handle.says?.copy(this.#bytes, (at + SAYS + 1) * 4, 0, SAYS_BYTES);
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

  fd(fh: number): number {
    return this.#words[wordOf(fh) + FD] ?? -1;
  }

  direct(fh: number): boolean {
    return this.#words[wordOf(fh) + DIRECT] === 1;
  }

  cachedFd(fh: number): number {
    return this.#words[wordOf(fh) + CACHED_FD] ?? -1;
  }

  place(fh: number): number {
    return this.#words[wordOf(fh) + PLACE] ?? 0;
  }

  image(fh: number): number {
    return this.#words[wordOf(fh) + IMAGE] ?? 0;
  }

  source(fh: number): number {
    return this.#words[wordOf(fh) + SOURCE] ?? 0;
  }

  says(fh: number): Buffer | undefined {
    const at = wordOf(fh) + SAYS;
    const length = this.#words[at] ?? 0;
    return length === 0 ? undefined : this.#bytes.subarray((at + 1) * 4, (at + 1) * 4 + length);
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
