/** Requests of one sequential reader may arrive this far out of order: the kernel sends several at a time. */
const SLACK_BYTES = 4 << 20;

/** Recognises a handle that is read from front to back. A first read at 0 counts as the start of one, as in the kernel. */
export class Sequence {
  #next = 0;
  #streak = 0;

  /** Bytes read in sequence up to now, this read included; 0 when it jumped. */
  note(offset: number, length: number): number {
    const end = offset + length;
    if (Math.abs(offset - this.#next) > SLACK_BYTES) {
      this.#next = end;
      this.#streak = 0;
      return 0;
    }
    this.#next = Math.max(this.#next, end);
    this.#streak += length;
    return this.#streak;
  }

  /** Where a sequential reader goes on. */
  get next(): number {
    return this.#next;
  }
}
