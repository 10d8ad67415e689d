import { CinderfsError } from '../../errors.js';
import type { AttachContext } from '../context/context.js';

/** Questions to Cinder in one sweep: what is left is for the next. */
const MOST = 100;

/**
 * Forgets what was pinned of volumes that Cinder does not have any more: their ids are never given again, and a host
 * that sees images come and go for years would keep a record of each. A pin is forgotten on Cinder's word alone.
 */
export async function sweepPins(context: AttachContext): Promise<void> {
  const { journal, pins, volumes } = context;
  const listed = new Set((await volumes.list()).map(({ id }) => id));
  const unknown = pins
    .list()
    .filter(({ volumeId }) => !listed.has(volumeId) && journal.get(volumeId) === undefined);
  for (const { volumeId } of unknown.slice(0, MOST))
    if (await isGone(volumeId, context)) await pins.remove(volumeId);
}

async function isGone(volumeId: string, { volumes }: AttachContext): Promise<boolean> {
  try {
    await volumes.show(volumeId);
    return false;
  } catch (error) {
    if (!CinderfsError.is(error)) throw error;
    return error.code === 'not_found';
  }
}
