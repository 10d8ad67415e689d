/** Separate pieces that one answer may come in: a server that sends more of them, out of order, is not waited for. */
const MOST = 4096;

/**
 * Ranges that do not overlap. A server that sent one range twice in place of another would have the other pass for
 * sent, with whatever was in memory there.
 */
export class Ranges {
  /** In order; neighbours that touch are one. */
  readonly #ranges: { from: number; to: number }[] = [];

  /** Adds [from, to); false where a part of it is there already, or they are too many. */
  add(from: number, to: number): boolean {
    const at = this.#ranges.findLastIndex((range) => range.from <= from) + 1;
    const [before, after] = [this.#ranges[at - 1], this.#ranges[at]];
    if ((before?.to ?? 0) > from || (after?.from ?? Infinity) < to) return false;
    if (before?.to === from) {
      before.to = to;
      if (after?.from === to) {
        before.to = after.to;
        this.#ranges.splice(at, 1);
      }
    } else if (after?.from === to) after.from = from;
    else this.#ranges.splice(at, 0, { from, to });
    return this.#ranges.length <= MOST;
  }
}
