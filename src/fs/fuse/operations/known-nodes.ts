import { ROOT_NODE } from '../../contract/filesystem.js';

/** How many references the kernel holds to each node: one per LOOKUP and READDIRPLUS entry, until it FORGETs them. */
export class KnownNodes {
  readonly #counts = new Map<number, number>();
  readonly #tookOver: boolean;

  /** `tookOver`: an earlier engine served this mount, and what it counted died with it. */
  constructor(tookOver = false) {
    this.#tookOver = tookOver;
  }

  add(node: number): void {
    if (node !== ROOT_NODE) this.#counts.set(node, this.count(node) + 1);
  }

  forget(node: number, lookups: number): void {
    const left = this.count(node) - lookups;
    if (left > 0) this.#counts.set(node, left);
    else this.#counts.delete(node);
  }

  count(node: number): number {
    return this.#counts.get(node) ?? 0;
  }

  /** Whether the kernel may hold it. Invalidating an unknown node is harmless. */
  mayKnow(node: number): boolean {
    return this.#tookOver || this.count(node) > 0;
  }

  get size(): number {
    return this.#counts.size;
  }
}
