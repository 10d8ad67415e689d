import type { Subject } from './subject.js';

/**
 * Runs a load whose bytes must all come from the source. Rejects when some came from a cache: a figure that is too
 * good is worse than none. Where nothing counts what the source gives, nothing is checked.
 */
export async function fromSource<T extends { readonly bytes: number }>(
  subject: Subject,
  load: () => Promise<T>,
): Promise<T> {
  const before = await subject.bytesTaken();
  const done = await load();
  const after = await subject.bytesTaken();
  if (before !== undefined && after !== undefined && after - before < 0.98 * done.bytes) {
    throw new Error(`${done.bytes} bytes were read, but only ${after - before} taken from the source`);
  }
  return done;
}
