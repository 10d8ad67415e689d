import { readKeptSync } from '../../sys/files/kept-file.js';
import { parseJson } from './json.js';

/** Who owns a state directory, as its file owner.json says. */
export interface Owner {
  readonly pid: number;
  readonly mountpoint: string;
  /** Clock ticks after boot at which the process started: a pid alone is reused. */
  readonly startTime: string;
}

/** Bytes; a mount point has at most 4,096. */
const MOST = 16 * 1024;

/** The owner that `path` names; undefined where it names none. Whoever reads it takes nothing of it for true. */
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
