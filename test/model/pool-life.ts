import { DEFAULT_TIMES } from '../../src/attach/context/context.js';
import type { Lease } from '../../src/attach/contract/lease.js';
import type { Pool } from '../../src/attach/lifecycle/pool.js';
import type { Watcher } from '../../src/attach/lifecycle/watcher.js';
import type { ImageCatalog } from '../../src/cinder/catalog/catalog.js';
import type { MortalCalls } from './mortal-calls.js';

/** Each open and each look proves anew. */
export const TIMES = { ...DEFAULT_TIMES, proofMs: 0, recheckMs: 0 };

/** One life of the daemon. */
export interface Life {
  readonly calls: MortalCalls;
  readonly pool: Pool;
  readonly watcher: Watcher;
  readonly catalog: ImageCatalog;
  readonly openings: Set<AbortController>;
  readonly leases: Lease[];
  readonly restoration: Restoration;
}

/** A file that was open when its engine died. */
export interface OpenBefore {
  readonly volumeId: string;
  readonly attachmentId: string;
  /** What had gone wrong in the world when it was opened. */
  readonly troubles: number;
}

/** Files of an earlier engine, which are opened again one by one, with `stepsBetween` steps before each. */
export class Restoration {
  readonly inPlace: boolean;
  readonly #left: OpenBefore[];
  readonly #stepsBetween: number;
  #stepsLeft: number;
  #settled: boolean;

  constructor(files: readonly OpenBefore[], stepsBetween: number) {
    this.inPlace = files.length > 0;
    this.#left = [...files];
    this.#stepsBetween = stepsBetween;
    this.#stepsLeft = stepsBetween;
    this.#settled = !this.inPlace;
  }

  /** Those that are not open again. */
  get left(): readonly OpenBefore[] {
    return this.#left;
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** One step: `open` or, after the last file, `settle` is called when it is time. */
  step(open: (file: OpenBefore) => void, settle: () => void): void {
    if (this.#settled || this.#stepsLeft-- > 0) return;
    this.#stepsLeft = this.#stepsBetween;
    const next = this.#left.shift();
    this.#settled = next === undefined;
    if (next === undefined) settle();
    else open(next);
  }
}
