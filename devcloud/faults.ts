/** Faults on demand: what goes wrong, for which requests, how often. */

import type { Call, ServiceName } from './service.js';

/**
 * - `latency`: answered `delayMs` later.
 * - `status`: answered with `status` (default 503) before anything happens.
 * - `drop`: the connection is cut before anything happens; `drop-after`: after it happened (the ambiguous timeout).
 * - `hang`: never answered, nothing happens; `hang-after`: it happens, then never answered.
 * - `expire-token`: the token this request carries is revoked, so this request and the next ones get 401.
 * - `attach-slow`: the backend takes `delayMs` over the connector, the volume being reserved meanwhile.
 * - `attach-stuck`: the backend never answers the connector: no reply, and the attachment stays `attaching`.
 * - `attach-refused`: the backend fails the connector: 500, and a `reserved` attachment is left (nothing rolls back).
 * - `connector-conflict`: 409 for the connector.
 * - `short-list`: a listing is answered with 200 and without a single entry.
 */
export const FAULT_KINDS = [
  'latency',
  'status',
  'drop',
  'drop-after',
  'hang',
  'hang-after',
  'expire-token',
  'attach-slow',
  'attach-stuck',
  'attach-refused',
  'connector-conflict',
  'short-list',
] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

export interface FaultSpec {
  readonly kind: FaultKind;
  /** Only this service; default every one. */
  readonly service?: ServiceName;
  /** Only this HTTP method; default any. */
  readonly method?: string;
  /** Only resources like this: `/attachments`, `/attachments/*`, `/images*`; `*` stands for anything. */
  readonly path?: string;
  /** Fire this many times, then never again. Default: until removed. */
  readonly count?: number;
  /** Fire with this chance, in (0, 1]. Default always. */
  readonly probability?: number;
  /** Seed of the chance: the same seed makes the same sequence. Default 1. */
  readonly seed?: number;
  readonly delayMs?: number;
  readonly status?: number;
  /** Replaces the text of the error. */
  readonly message?: string;
}

/** A fault in force. */
export interface Fault {
  readonly id: string;
  readonly spec: FaultSpec;
  /** How often it has fired. */
  readonly fired: number;
}

interface Armed {
  readonly id: string;
  readonly spec: FaultSpec;
  readonly path: RegExp;
  readonly random: () => number;
  fired: number;
}

export class Faults {
  readonly #armed = new Map<string, Armed>();
  #lastId = 0;

  /** Puts a fault in force. Throws a TypeError when the spec makes no sense. */
  add(spec: FaultSpec): Fault {
    check(spec);
    const id = `fault-${(this.#lastId += 1)}`;
    const armed = {
      id,
      spec,
      path: globPattern(spec.path ?? '*'),
      random: mulberry32(spec.seed ?? 1),
      fired: 0,
    };
    this.#armed.set(id, armed);
    return view(armed);
  }

  list(): Fault[] {
    return [...this.#armed.values()].map(view);
  }

  remove(id: string): boolean {
    return this.#armed.delete(id);
  }

  clear(): void {
    this.#armed.clear();
  }

  /** The first fault of one of `kinds` that strikes this request; striking counts. */
  take<K extends FaultKind>(
    service: ServiceName,
    call: Pick<Call, 'method' | 'resource'>,
    ...kinds: K[]
  ): (FaultSpec & { kind: K }) | undefined {
    for (const armed of this.#armed.values()) {
      const { spec } = armed;
      const isMeant =
        (kinds as FaultKind[]).includes(spec.kind) &&
        (spec.service ?? service) === service &&
        (spec.method ?? call.method).toUpperCase() === call.method &&
        armed.path.test(call.resource);
      if (isMeant && strikes(armed)) return spec as FaultSpec & { kind: K };
    }
    return undefined;
  }
}

/** `*` stands for any characters; everything else for itself. The whole resource must match. */
export function globPattern(glob: string): RegExp {
  const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${glob.split('*').map(literal).join('.*')}$`);
}

function strikes(armed: Armed): boolean {
  const { count, probability } = armed.spec;
  if (count !== undefined && armed.fired >= count) return false;
  if (probability !== undefined && armed.random() >= probability) return false;
  armed.fired += 1;
  return true;
}

function check(spec: FaultSpec): void {
  if (!FAULT_KINDS.includes(spec.kind)) {
    throw new TypeError(`kind must be one of ${FAULT_KINDS.join(', ')}`);
  }
  const { count, probability, delayMs } = spec;
  if (count !== undefined && !(count >= 1)) throw new TypeError('count must be at least 1');
  if (probability !== undefined && !(probability > 0 && probability <= 1)) {
    throw new TypeError('probability must be in (0, 1]');
  }
  const needsDelay = spec.kind === 'latency' || spec.kind === 'attach-slow';
  if (needsDelay && delayMs === undefined) throw new TypeError(`${spec.kind} needs delayMs`);
}

function view({ id, spec, fired }: Armed): Fault {
  return { id, spec, fired };
}

/** A small seeded generator of numbers in [0, 1): faults must be repeatable, not secret. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
