import { readKeptSync } from '../../sys/files/kept-file.js';
import { parseJson } from './json.js';

/** The owner of a state directory, from its file owner.json. */
export interface Owner {
  readonly pid: number;
  readonly mountpoint: string;
  /** Clock ticks after boot at which the process started: a pid alone is reused. */
  readonly startTime: string;
}

/** Bytes; a mount point has at most 4,096. */
const MOST = 16 * 1024;

/** The owner that `path` names; undefined where it names none. A reader must not trust it. */
export function readOwner(path: string): Owner | undefined {
  let value: unknown;
  try {
    value = parseJson(readKeptSync(path, MOST)?.toString('utf8') ?? '');
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { pid, mountpoint, startTime } = value as Partial<Record<keyof Owner, unknown>>;
  if (!Number.isSafeInteger(pid) || (pid as number) < 1) return undefined;
  if (typeof mountpoint !== 'string' || typeof startTime !== 'string') return undefined;
  return { pid: pid as number, mountpoint, startTime };
}
