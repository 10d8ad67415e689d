import { alignDown } from '../alignment.js';
import type { NbdClient } from './client.js';

/** Bytes asked about in one request: the protocol has 32 bits for it. */
const STEP_BYTES = 1 << 30;

/** Questions to a server that says little at a time, or nothing of use: what it has not said by then is data. */
const MOST_QUESTIONS = 4096;

export interface ExtentSeek {
  readonly offset: number;
  readonly whence: 'data' | 'hole';
  /** Bytes of the image. */
  readonly end: number;
  readonly alignment: number;
}

/** Next data or hole at or after `offset` by block status; `end` when there is none. All is data if the server is mute. */
export async function seekInExtents(client: NbdClient, seek: ExtentSeek): Promise<number> {
  const { offset, whence, end, alignment } = seek;
  const limit = client.export?.size ?? end;
  let at = alignDown(offset, alignment);
  for (let questions = 0; at < end; questions += 1) {
    if (questions === MOST_QUESTIONS) return whence === 'data' ? Math.max(offset, at) : end;
    const length = Math.min(STEP_BYTES, limit - at);
    const extents = await client.blockStatus(at, length);
    if (extents === undefined) return whence === 'data' ? offset : end;
    for (const extent of extents) {
      const after = at + extent.length;
      if (extent.hole === (whence === 'hole') && after > offset) return Math.min(end, Math.max(offset, at));
      at = after;
    }
    // A server must say something about the first byte; one that does not would keep us here for ever.
    if (extents.every((extent) => extent.length === 0)) return whence === 'data' ? offset : end;
  }
  return end;
}
