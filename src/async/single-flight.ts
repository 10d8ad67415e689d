/** One running call per key, shared by all callers meanwhile, forgotten when it settles: failures are never kept. */
export class SingleFlight<K, T> {
  readonly #flights = new Map<K, Promise<T>>();

  /** Joins the call that runs for `key`, or starts `work`. */
  run(key: K, work: () => Promise<T>): Promise<T> {
    const running = this.#flights.get(key);
    if (running !== undefined) return running;
    const flight = work().finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return flight;
  }

  get size(): number {
    return this.#flights.size;
  }
}
