import { type Clock, sleep } from '../../async/clock.js';
import { CinderfsError } from '../../errors.js';
import type { Attachment } from '../../cinder/contract/attachments.js';
import type { AttachContext } from '../context/context.js';
import { type AttachmentRecord, type Search, attachedVolumeOf } from '../journal/record.js';

const LOOKS = 6;

/**
 * The attachment that an unanswered reservation made, or undefined when it made none.
 *
 * Cinder does not name the owner of a reserved attachment. Proof that it is ours: it was not there before we asked, no host has
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
  for (let search = begunOr(record.search, clock); ;) {
    const now = clock.uptime();
    const candidates = (await list(record, context)).filter((attachment) => isCandidate(attachment, record));
    search = {
      ...search,
      seen: Object.fromEntries(candidates.map(({ id }) => [id, search.seen[id] ?? now])),
    };
    const settled = candidates.filter(({ id }) => now - (search.seen[id] ?? now) >= times.orphanMs);
    if (settled.length > 1) throw ambiguous(record.volumeId, settled);
    if (settled[0] !== undefined) return settled[0].id;
    if (candidates.length === 0 && (record.answered || now - search.begun >= times.orphanMs))
      return undefined;
    // A process that is killed again and again during the search must find it some day.
    await context.journal.write({ ...record, search });
    await sleep(clock, times.orphanMs / LOOKS, signal);
  }
}

/** The search of an earlier life goes on; one that began before the machine started says nothing. */
function begunOr(search: Search | undefined, clock: Clock): Search {
  const now = clock.uptime();
  return search !== undefined && search.begun <= now ? search : { begun: now, seen: {} };
}

function isCandidate(attachment: Attachment, { before }: AttachmentRecord): boolean {
  const { id, status, connectionInfo } = attachment;
  const unnamed = status === 'reserved' && connectionInfo === undefined;
  return unnamed && couldBeOurs(attachment) && !before.includes(id);
}

/** Ours are read-only and belong to no virtual machine. */
export function couldBeOurs({ instanceId, attachMode }: Attachment): boolean {
  return instanceId === undefined && attachMode !== 'rw';
}

/** A volume that is gone took its attachments with it. */
async function list(record: AttachmentRecord, context: AttachContext): Promise<readonly Attachment[]> {
  try {
    return await context.attachments.listForVolume(attachedVolumeOf(record));
  } catch (error) {
    if (CinderfsError.is(error) && error.code === 'not_found') return [];
    throw error;
  }
}

function ambiguous(volume: string, found: readonly Attachment[]): CinderfsError {
  const ids = found.map(({ id }) => id).join(', ');
  return new CinderfsError('detach_failed', `cannot tell which reservation is ours: ${ids}`, {
    volume,
    remedy: 'Delete the one that no host uses with `cinder attachment-delete`.',
  });
}
