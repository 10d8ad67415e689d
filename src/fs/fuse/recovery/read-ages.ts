import { constants } from 'node:fs';
import type { Clock } from '../../../async/clock.js';
import { READ_IN } from '../protocol/messages.js';
import { Opcode } from '../protocol/opcodes.js';
import { decodeRequest } from '../protocol/request.js';
import type { Request } from '../protocol/request.js';

/** A read as far as its age goes: its caller and its open file. */
export interface AgingRead {
  /** Thread that waits for it; 0 when it is not visible from here. */
  readonly pid: number;
  readonly fh: number;
  /** The reader has the file open O_DIRECT. */
  readonly uncached: boolean;
}

/** Milliseconds in which the kernel asks again, even on a busy host. */
const AGAIN_MS = 1000;

/**
 * Since when read(2) has waited. The kernel asks a second time, page by page, for what its read-ahead did not get, and
 * only then fails the read(2): a deadline counts from the first time. Reads past the page cache are asked for once.
 */
export class ReadAges {
  readonly #clock: Clock;
  readonly #expired = new Map<string, { readonly since: number; readonly at: number }[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A read that began at `since` was failed at its deadline. */
  expired(read: AgingRead, since: number): void {
    if (read.uncached) return;
    this.#forget();
    const key = keyOf(read);
    this.#expired.set(key, [...(this.#expired.get(key) ?? []), { since, at: this.#clock.now() }]);
  }

  /** Since when a read has waited that came at `came`: it may be the second try of one that expired. Asked once a read. */
  sinceOf(read: AgingRead, came: number): number {
    if (read.uncached || this.#expired.size === 0) return came;
    this.#forget();
    const key = keyOf(read);
    const [first, ...others] = this.#expired.get(key) ?? [];
    if (others.length > 0) this.#expired.set(key, others);
    else this.#expired.delete(key);
    return first?.since ?? came;
  }

  /** The same of the bytes of any request. */
  sinceAsked(bytes: Buffer, came: number): number {
    if (this.#expired.size === 0) return came;
    const request = decodeRequest(bytes);
    const read = request === undefined ? undefined : agingRead(request);
    return read === undefined ? came : this.sinceOf(read, came);
  }

  #forget(): void {
    const oldest = this.#clock.now() - AGAIN_MS;
    for (const [key, reads] of this.#expired) {
      const recent = reads.filter(({ at }) => at >= oldest);
      if (recent.length > 0) this.#expired.set(key, recent);
      else this.#expired.delete(key);
    }
  }
}

/** Undefined for requests that are no READ. */
export function agingRead({ opcode, pid, body }: Request): AgingRead | undefined {
  if (opcode !== Opcode.READ || body.length < READ_IN.size) return undefined;
  const { fh, flags } = READ_IN.decode(body);
  return { pid, fh, uncached: (flags & constants.O_DIRECT) !== 0 };
}

function keyOf({ pid, fh }: AgingRead): string {
  return `${pid} ${fh}`;
}
