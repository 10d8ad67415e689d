import { moment } from './time.js';

/**
 * For a state of another process that has no event to await: asks until `holds` answers with something, or fails with
 * what it last saw. `ms` is how long it may take at the very most, not how long it should.
 */
export async function eventually<T>(
  what: string,
  holds: () => Promise<T | undefined>,
  ms = 60_000,
): Promise<T> {
  const until = performance.now() + ms;
  for (;;) {
    const answer = await holds();
    if (answer !== undefined) return answer;
    if (performance.now() > until) throw new Error(`never happened: ${what}`);
    await moment(100);
  }
}
