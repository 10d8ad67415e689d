import { constants } from 'node:os';
import type { Errno } from '../../errors.js';

/** The number of an errno name on this system, positive. */
export function errnoNumber(errno: Errno): number {
  return constants.errno[errno];
}
