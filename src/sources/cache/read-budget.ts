/** How many bytes may be on their way from sources at a time. Part of the one memory budget of the block cache. */
export interface ReadBudgetLimits {
  /** Bytes in flight of all volumes together. */
  readonly total: number;
  /** Bytes in flight of one volume: a hung one can hold no more, and gives it back when its requests are given up. */
  readonly perVolume: number;
}

interface Waiter {
  readonly volume: string;
  readonly bytes: number;
  readonly admit: () => void;
}

/**
 * Admission of reads. A volume with nothing in flight is always admitted: one dead volume, or many, can make others
 * wait for memory but never stop them (A9.10).
 */
export class ReadBudget {
  readonly #limits: ReadBudgetLimits;
  readonly #inFlight = new Map<string, number>();
  readonly #waiting: Waiter[] = [];
  #total = 0;

  constructor(limits: ReadBudgetLimits) {
    this.#limits = limits;
  }

  get inFlight(): number {
    return this.#total;
  }

  /** Waits for its turn and takes `bytes`; every call is followed by one `release`. */
  take(volume: string, bytes: number): Promise<void> {
    if (this.tryTake(volume, bytes)) return Promise.resolve();
    return new Promise((admit) => this.#waiting.push({ volume, bytes, admit }));
  }

  /** Takes `bytes` if that is possible at once. */
  tryTake(volume: string, bytes: number): boolean {
    if (!this.#fits(volume, bytes)) return false;
    this.#inFlight.set(volume, this.#of(volume) + bytes);
    this.#total += bytes;
    return true;
  }

  release(volume: string, bytes: number): void {
    const left = this.#of(volume) - bytes;
    if (left > 0) this.#inFlight.set(volume, left);
    else this.#inFlight.delete(volume);
    this.#total -= bytes;
    this.#admitWaiters();
  }

  /** Whether a reader waits for this volume: read-ahead steps back then. */
  contended(volume: string): boolean {
    return this.#waiting.some((waiter) => waiter.volume === volume);
  }

  #of(volume: string): number {
    return this.#inFlight.get(volume) ?? 0;
  }

  #fits(volume: string, bytes: number): boolean {
    const own = this.#of(volume);
    if (own === 0) return true;
    return own + bytes <= this.#limits.perVolume && this.#total + bytes <= this.#limits.total;
  }

  /** In order of arrival, but no read waits behind another volume. */
  #admitWaiters(): void {
    for (let index = 0; index < this.#waiting.length;) {
      const waiter = this.#waiting[index];
      if (waiter === undefined || !this.tryTake(waiter.volume, waiter.bytes)) {
        index += 1;
        continue;
      }
      this.#waiting.splice(index, 1);
      waiter.admit();
    }
  }
}
