import type { Clock } from '../../src/async/clock.js';
import { ImageHeads } from '../../src/attach/head/image-heads.js';
import { silentLog } from '../../src/log.js';

/** The look at image heads as a mount does it by default. */
export function defaultHeads(clock: Clock): ImageHeads {
  return new ImageHeads({ safety: 'refuse', lookMs: 60_000, clock, log: silentLog });
}
