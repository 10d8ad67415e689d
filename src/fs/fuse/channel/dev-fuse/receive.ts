import { read, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { systemCode } from '../../protocol/errno.js';
import { isGone } from './gone.js';

const readAsync = promisify(read);

/** Codes of a read that say that a request went away before it was read. */
const TRY_AGAIN: ReadonlySet<string> = new Set(['EINTR', 'ENOENT', 'EAGAIN']);

/** See WorkerRequests.receive. */
export function receiveSync(fuseFd: number, room: Buffer): number | undefined {
  for (;;) {
    try {
      return readSync(fuseFd, room, 0, room.length, null);
    } catch (error) {
      if (ends(error)) return undefined;
    }
  }
}

/** The same on a pool thread. */
export async function receive(fuseFd: number, room: Buffer): Promise<number | undefined> {
  for (;;) {
    try {
      return (await readAsync(fuseFd, room, 0, room.length, null)).bytesRead;
    } catch (error) {
      if (ends(error)) return undefined;
    }
  }
}

/** True: there will be no request any more. False: another read may have one. */
function ends(thrown: unknown): boolean {
  if (isGone(thrown)) return true;
  if (!TRY_AGAIN.has(systemCode(thrown) ?? '')) throw thrown;
  return false;
}
