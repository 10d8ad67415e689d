import { CinderfsError } from '../errors.js';
import type { Shutdown } from './shutdown.js';

/** The control call behind `cinderfs umount`: `?lazy=1`, or `?drain=SECONDS` (`inf`: as long as it takes). */
export async function unmountBy(shutdown: Shutdown, query: URLSearchParams): Promise<void> {
  if (query.has('lazy')) return shutdown.unmountLazily();
  return shutdown.unmount(drainMsOf(query.get('drain')));
}

function drainMsOf(text: string | null): number {
  if (text === null) return 0;
  const seconds = text === 'inf' ? Infinity : Number(text);
  if (seconds >= 0) return seconds * 1000;
  throw new CinderfsError('usage', `not a number of seconds to drain: ${text}`);
}
