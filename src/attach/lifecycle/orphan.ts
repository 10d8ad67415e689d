import { sleep } from '../../async/clock.js';
import { CinderfsError } from '../../errors.js';
import type { Attachment } from '../../cinder/types.js';
import type { AttachContext } from '../context.js';
import { type AttachmentRecord, targetOf } from '../journal/record.js';

const LOOKS = 6;

/**
 * The attachment that an unanswered reservation made, or undefined when it made none.
 *
 * Cinder does not say whose a reserved attachment is. What proves it ours: it was not there before we asked, nobody has
 * named a connector for it, and it stays like that for `orphanMs` while no other host could reserve (Cinder admits one
 * at a time). Another host's moves on within its API time; should that host be dead, its reservation is as abandoned as
 * ours. A request that was cut may still be served, so an empty list is believed only after the same time.
 */
export async function findOrphan(
  record: AttachmentRecord,
  context: AttachContext,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { clock, times } = context;
  const begun = clock.now();
  let seen = new Map<string, number>();
  for (;;) {
    const now = clock.now();
    const candidates = (await list(record, context)).filter(
      (attachment) =>
        attachment.status === 'reserved' &&
        attachment.connectionInfo === undefined &&
        couldBeOurs(attachment) &&
        !record.before.includes(attachment.id),
    );
    seen = new Map(candidates.map(({ id }) => [id, seen.get(id) ?? now]));
    const settled = [...seen].filter(([, since]) => now - since >= times.orphanMs).map(([id]) => id);
    if (settled.length > 1) throw ambiguous(record.volumeId, settled);
    if (settled[0] !== undefined) return settled[0];
    if (seen.size === 0 && (record.answered || now - begun >= times.orphanMs)) return undefined;
    await sleep(clock, times.orphanMs / LOOKS, signal);
  }
}

/** Ours are read-only and belong to no virtual machine. */
export function couldBeOurs({ instanceId, attachMode }: Attachment): boolean {
  return instanceId === undefined && attachMode !== 'rw';
}

/** A volume that is gone took its attachments with it. */
async function list(record: AttachmentRecord, context: AttachContext): Promise<readonly Attachment[]> {
  try {
    return await context.attachments.listForVolume(targetOf(record));
  } catch (error) {
    if (CinderfsError.is(error) && error.code === 'not_found') return [];
    throw error;
  }
}

function ambiguous(volume: string, ids: readonly string[]): CinderfsError {
  return new CinderfsError('detach_failed', `cannot tell which reservation is ours: ${ids.join(', ')}`, {
    volume,
    remedy: 'Delete the one that no host uses with `cinder attachment-delete`.',
  });
}
