/**
 * Which side answers a READ that a worker has in hand. Each worker publishes the request it is reading for; the worker
 * answers it unless the main thread took it first (the deadline passed, its caller was interrupted). One
 * compare-and-swap decides, so that every request is answered exactly once.
 *
 * A claim is a number that grows: odd while the worker reads, even once it is taken. The side that took it settles it
 * when the request is answered, or is the main thread's: what is taken and not settled dies with its worker.
 */
export interface ClaimedRead {
  readonly unique: bigint;
  readonly fh: number;
  /** Thread that waits for the answer; 0 when it is not visible from here. */
  readonly pid: number;
  /** The kernel does not ask for it again when it fails (ReadAges). */
  readonly uncached: boolean;
}

const WORDS = 10;
const CLAIM = 0;
const RECALL = 1;
const UNIQUE = 2;
const FH = 4;
const DOORBELL = 6;
const PID = 7;
const SETTLED = 8;
const UNCACHED = 9;

export class ReplyOwnership {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #uniques: BigUint64Array;
  readonly #doubles: Float64Array;

  /** One entry per worker; `memory` joins the claims of another thread. */
  constructor(workers: number | SharedArrayBuffer) {
    this.memory = typeof workers === 'number' ? new SharedArrayBuffer(workers * WORDS * 4) : workers;
    this.#words = new Int32Array(this.memory);
    this.#uniques = new BigUint64Array(this.memory);
    this.#doubles = new Float64Array(this.memory);
  }

  /** Worker: says which request it is about to read for. */
  begin(workerId: number, read: ClaimedRead): number {
    const at = workerId * WORDS;
    this.#uniques[(at + UNIQUE) / 2] = read.unique;
    this.#doubles[(at + FH) / 2] = read.fh;
    this.#words[at + PID] = read.pid;
    this.#words[at + UNCACHED] = read.uncached ? 1 : 0;
    const claim = ((this.#words[at + CLAIM] ?? 0) + 1) | 1;
    Atomics.store(this.#words, at + CLAIM, claim);
    return claim;
  }

  /** Either side: true for exactly one caller per claim, which answers the request. */
  win(workerId: number, claim: number): boolean {
    return Atomics.compareExchange(this.#words, workerId * WORDS + CLAIM, claim, claim + 1) === claim;
  }

  /** The last claim was taken: its request is answered, or the main thread has it. */
  settle(workerId: number): void {
    Atomics.store(
      this.#words,
      workerId * WORDS + SETTLED,
      Atomics.load(this.#words, workerId * WORDS + CLAIM),
    );
  }

  /** Main: the request that a worker left unanswered when it died; the caller's to answer. */
  abandoned(workerId: number): bigint | undefined {
    const claim = this.current(workerId);
    if (claim !== undefined) this.win(workerId, claim);
    const at = workerId * WORDS;
    if (Atomics.load(this.#words, at + SETTLED) === Atomics.load(this.#words, at + CLAIM)) return undefined;
    this.settle(workerId);
    return this.read(workerId).unique;
  }

  /** Main: the claim of a worker that is reading, undefined when it is not (or its request was taken). */
  current(workerId: number): number | undefined {
    const claim = Atomics.load(this.#words, workerId * WORDS + CLAIM);
    return (claim & 1) === 1 ? claim : undefined;
  }

  /** Main: what a reading worker reads for. Meaningful only if `take` of the same claim then succeeds. */
  read(workerId: number): ClaimedRead {
    const at = workerId * WORDS;
    return {
      unique: this.#uniques[(at + UNIQUE) / 2] ?? 0n,
      fh: this.#doubles[(at + FH) / 2] ?? 0,
      pid: this.#words[at + PID] ?? 0,
      uncached: this.#words[at + UNCACHED] === 1,
    };
  }

  /** Main: asks the worker to report when its read returns, instead of going on to the next request. */
  recall(workerId: number): void {
    Atomics.store(this.#words, workerId * WORDS + RECALL, 1);
  }

  /** Worker: whether it was asked to report; the question is asked once. */
  recalled(workerId: number): boolean {
    return Atomics.exchange(this.#words, workerId * WORDS + RECALL, 0) === 1;
  }

  /** Main: wakes the worker for a message on its port. */
  ring(workerId: number): void {
    Atomics.add(this.#words, workerId * WORDS + DOORBELL, 1);
    Atomics.notify(this.#words, workerId * WORDS + DOORBELL);
  }

  /** Worker: how often it was rung. */
  rung(workerId: number): number {
    return Atomics.load(this.#words, workerId * WORDS + DOORBELL);
  }

  /** Worker: sleeps until it is rung more often than `seen`. */
  awaitRing(workerId: number, seen: number): void {
    Atomics.wait(this.#words, workerId * WORDS + DOORBELL, seen);
  }
}
