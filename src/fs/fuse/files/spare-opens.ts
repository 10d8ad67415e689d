import type { Clock } from '../../../async/clock.js';
import type { FileMemo, OpenFile } from '../../contract/filesystem.js';
import type { OpenJournal, OpenRecord, Reservation } from '../recovery/open-journal.js';
import { FEW, LONGEST_LINE, OpenState, SharedOpens, SPARES, UNIQUE_DIGITS } from '../shared/shared-opens.js';
import type { OpenOutcome } from '../worker/opens.js';
import { openFlags } from './open-answer.js';
import type { Opened } from './opened.js';

/** How long after an open that the main thread answered workers may answer others: that one proved the volume. */
const SPARE_MS = 1000;

export interface SpareOpensParts {
  readonly clock: Pick<Clock, 'uptime'>;
  readonly journal: OpenJournal | undefined;
  /** Another open of the same file, known to the workers alone; undefined where there is no room for it. */
  readonly prepare: (base: Opened) => Opened | undefined;
  /** The kernel has what was prepared. */
  readonly admit: (opened: Opened) => void;
  /** It will never have it. */
  readonly discard: (opened: Opened) => void;
}

/** Opens of `base` that workers may answer until then. */
interface Deal {
  readonly base: Opened;
  readonly until: number;
}

interface Spare {
  readonly opened: Opened;
  readonly until: number;
  readonly memo: FileMemo;
  readonly reservation: Reservation | undefined;
  /** It was admitted before its worker had done with it. */
  early: boolean;
}

/**
 * Opens that are prepared for workers to answer (shared-opens.ts): of an image that is open twice by one user, which is
 * likely to be opened again soon. They share the file of the older of these opens, and so its lease.
 */
export class SpareOpens {
  readonly shared = new SharedOpens();
  readonly #parts: SpareOpensParts;
  readonly #spares: (Spare | undefined)[];
  /** By file. */
  readonly #deals = new Map<OpenFile, Deal>();

  constructor(parts: SpareOpensParts) {
    this.#parts = parts;
    this.#spares = Array.from({ length: this.shared.slots }, () => undefined);
    // Lines that were reserved are not in the new journal.
    parts.journal?.onRewrite(() => {
      this.withdraw();
      this.settle();
      return !this.#out().some(({ early }) => !early);
    });
  }

  /** Prepares further opens of a file that was just opened once more. */
  offer(base: Opened): void {
    const now = this.#parts.clock.uptime();
    this.#withdraw(({ opened, until }) => opened.file === base.file && until < now + SPARE_MS / 2);
    this.#deals.set(base.file, { base, until: now + SPARE_MS });
    this.#fill();
  }

  /** Takes back what no worker has taken yet, and prepares no more: of all files, or of one. */
  withdraw(file?: OpenFile): void {
    if (file === undefined) this.#deals.clear();
    else this.#deals.delete(file);
    this.#withdraw(({ opened }) => file === undefined || opened.file === file);
  }

  #withdraw(which: (spare: Spare) => boolean): void {
    for (const [slot, spare] of this.#spares.entries()) {
      if (spare === undefined || !which(spare) || !this.shared.withdraw(slot)) continue;
      this.#spares[slot] = undefined;
      this.#parts.discard(spare.opened);
    }
  }

  /** Admits what workers have given to the kernel. */
  settle(): void {
    for (const [slot, spare] of this.#spares.entries()) {
      const state = this.shared.state(slot);
      if (spare === undefined || state < OpenState.given) continue;
      if (!spare.early) this.#admit(slot, spare);
      if (state === OpenState.opened) this.#vacate(slot);
    }
  }

  /** Opens of `file` that workers have in hand: whether they become any is not known yet. */
  pending(file: OpenFile): number {
    return this.#out().filter(({ early, opened }) => !early && opened.file === file).length;
  }

  /** Everything that is prepared and not admitted. */
  prepared(): readonly Opened[] {
    return this.#spares.flatMap((spare) => (spare?.early === false ? [spare.opened] : []));
  }

  /** A worker tells what became of a slot; what is not open after all. */
  told(slot: number, outcome: OpenOutcome): Opened | undefined {
    if (outcome === 'few') {
      this.settle();
      this.#fill();
      return undefined;
    }
    const spare = this.#spares[slot];
    if (spare === undefined) return undefined;
    const record = recordOf(spare, this.shared.unique(slot));
    this.#vacate(slot);
    if (!spare.early) this.#undo(spare, record);
    return spare.opened;
  }

  /**
   * What a worker that died had in hand, now open: whether the kernel was told is not known. The caller answers those
   * requests.
   */
  abandoned(workerId: number): readonly { readonly unique: bigint; readonly opened: Opened }[] {
    const left = [...this.#spares.entries()].filter(
      ([slot]) => this.#isInHand(slot) && this.shared.workerId(slot) === workerId,
    );
    return left.flatMap(([slot, spare]) => {
      if (spare === undefined) return [];
      const unique = this.shared.unique(slot);
      // Whether its line was written is not known either.
      if (!spare.early) this.#admit(slot, { ...spare, reservation: undefined });
      this.#vacate(slot);
      return [{ unique, opened: spare.opened }];
    });
  }

  #out(): readonly Spare[] {
    return this.#spares.flatMap((spare, slot) =>
      spare !== undefined && this.#isInHand(slot) ? [spare] : [],
    );
  }

  /** A worker has taken it and has not done with it. */
  #isInHand(slot: number): boolean {
    const state = this.shared.state(slot);
    return state === OpenState.taken || state === OpenState.given;
  }

  /** How many no worker has taken yet. */
  #left({ file }: Opened): number {
    return this.#spares.filter(
      (spare, slot) => spare?.opened.file === file && this.shared.state(slot) === OpenState.ready,
    ).length;
  }

  #fill(): void {
    const now = this.#parts.clock.uptime();
    for (const [file, deal] of this.#deals) {
      const left = this.#left(deal.base);
      if (now >= deal.until) this.#deals.delete(file);
      else if (left <= FEW) for (let more = left; more < SPARES; more += 1) this.#prepare(deal);
    }
  }

  #prepare(deal: Deal): void {
    const { journal, prepare, discard } = this.#parts;
    const { base, until } = deal;
    const { memo } = base.file;
    const slot = this.#spares.indexOf(undefined);
    if (slot < 0 || memo === undefined || base.file.fenced.aborted) return;
    const opened = prepare(base);
    if (opened === undefined) return;
    const spare = { opened, until, memo, early: false };
    let reservation: Reservation | undefined;
    try {
      reservation = journal?.reserve(recordOf(spare, 0n));
    } catch {
      // Without room in the journal the main thread opens, and says what is wrong.
    }
    if (journal !== undefined && (reservation === undefined || isTooLong(reservation))) {
      discard(opened);
      return;
    }
    this.#spares[slot] = { ...spare, reservation };
    this.shared.offer(slot, {
      node: base.file.node,
      uid: base.uid,
      fh: opened.fh,
      flags: openFlags(opened),
      backingId: opened.backingId ?? 0,
      until,
      line: reservation && { ...reservation, uniqueAt: reservation.text.indexOf(UNIQUE) + UNIQUE.length },
    });
  }

  #admit(slot: number, spare: Spare): void {
    const { journal, admit } = this.#parts;
    const record = recordOf(spare, this.shared.unique(slot));
    spare.early = true;
    journal?.filled(record, spare.reservation);
    admit(spare.opened);
  }

  #undo({ opened, reservation }: Spare, record: OpenRecord): void {
    const { journal, discard } = this.#parts;
    // Its line may have been written, or a part of it.
    journal?.filled(record, reservation);
    journal?.closed(record.fh);
    discard(opened);
  }

  #vacate(slot: number): void {
    this.#spares[slot] = undefined;
    this.shared.free(slot);
  }
}

const UNIQUE = '"unique":"';

function recordOf({ opened, memo }: Pick<Spare, 'opened' | 'memo'>, unique: bigint): OpenRecord {
  const { fh, file, uid, backingId } = opened;
  // As many digits whatever the number: the line of a reservation is as long as it will be.
  const digits = String(unique).padStart(UNIQUE_DIGITS, '0');
  return { fh, node: file.node, unique: digits, uid, backingId, memo };
}

function isTooLong({ text }: Reservation): boolean {
  return Buffer.byteLength(text) > LONGEST_LINE;
}
