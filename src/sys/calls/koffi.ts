import { createRequire } from 'node:module';

/**
 * The one door to koffi, which calls C from any thread. It is optional: its users say what is missing without it.
 */
export interface Koffi {
  load(library: string): Library;
  struct(name: string, fields: Record<string, string>): unknown;
  proto(prototype: string): unknown;
  errno(): number;
  /** The memory at an address; its owner does not change. */
  view(address: bigint, bytes: number): ArrayBuffer;
  readonly os: { readonly errno: Readonly<Record<string, number>> };
}

export interface Library {
  func(prototype: string): KoffiFunction;
}

export interface KoffiFunction {
  (...values: unknown[]): number | bigint;
  /** The same on a pool thread; the last argument is called back with an error, or null and the result. */
  async(...values: unknown[]): void;
}

/** A call on a pool thread runs on a stack that koffi makes: 128 KiB is what a resolver alone may take. */
const ASYNC_STACK_BYTES = 1 << 20;

let loaded: Koffi | null | undefined;

/** Undefined where koffi is not installed. Loads it at the first call of each thread. */
export function loadKoffi(): Koffi | undefined {
  loaded ??= load();
  return loaded ?? undefined;
}

/** The name of an errno. */
export function errnoName({ os }: Koffi, errno: number): string {
  return Object.entries(os.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
}

function load(): Koffi | null {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi & { config(change: object): void };
    koffi.config({ async_stack_size: ASYNC_STACK_BYTES });
    return koffi;
  } catch {
    return null;
  }
}
