import { CinderfsError, reasonOf } from '../../errors.js';
import type { AttachContext } from '../context/context.js';
import { targetOf } from '../target/choose-target.js';
import { findOrphan } from './orphan.js';
import { type AttachmentRecord, attachedVolumeOf } from '../journal/record.js';

/**
 * Removes whatever `record` may have made, from any step: the detach, the roll-back of a failed attach, and what is
 * done about a record of an earlier life. Host first, attachment second: the other order leaves a live device whose LUN
 * can be given to another host. Every step is idempotent and "already gone" is success; when one fails the record
 * stays, so that the next try begins where this one stopped. Rejects with `detach_failed`.
 */
export async function undo(
  record: AttachmentRecord,
  context: AttachContext,
  signal: AbortSignal,
): Promise<void> {
  try {
    const release = await context.guard(record.locks ?? []);
    await detach(record, context, signal).finally(release);
    await targetOf(context.journal.get(record.volumeId) ?? record).remove(context, signal);
    await context.journal.remove(record.volumeId);
  } catch (cause) {
    if (signal.aborted) throw cause;
    const { volumeId, attachmentId } = record;
    throw new CinderfsError('detach_failed', `cannot detach volume ${volumeId} yet: ${reasonOf(cause)}`, {
      ...(CinderfsError.is(cause) ? cause.context : {}),
      remedy: undefined,
      volume: volumeId,
      attachment: attachmentId,
      cause,
    });
  }
}

async function detach(record: AttachmentRecord, context: AttachContext, signal: AbortSignal): Promise<void> {
  await deleteAttachment(await disconnect(record, context), context, signal);
}

async function disconnect(record: AttachmentRecord, context: AttachContext): Promise<AttachmentRecord> {
  if (record.host === undefined) return record;
  const connector = context.connectors.find(({ name }) => name === record.connector);
  if (connector === undefined)
    throw new CinderfsError(
      'connector_missing',
      `it was connected by ${record.connector ?? '?'}, which is not enabled`,
    );
  if (connector.unsettled?.(attachedVolumeOf(record)) === true)
    throw new CinderfsError('host_hung', 'connecting it has not ended yet: what it makes cannot be removed');
  const abandoned = await targetOf(record).abandoned(connector, record.host);
  const abandonedAt = abandoned ? context.clock.wall() : record.abandonedAt;
  const parting = { ...record, abandonedAt, step: 'disconnect' } as const;
  await context.journal.write(parting);
  const shared = connector.sharesDevices === true && (await usedBesides(record, context));
  await (shared ? connector.leave?.(record.host) : connector.disconnect(record.host));
  return parting;
}

/**
 * Whether another attachment has the volume on this host: nova's, glance's, or another mount's. They have the device
 * that we have, and the last of us removes it. As far as Cinder shows: no answer counts as no user.
 */
async function usedBesides(record: AttachmentRecord, context: AttachContext): Promise<boolean> {
  const volume = await context.volumes.show(attachedVolumeOf(record)).catch(() => undefined);
  return (volume?.attachments ?? []).some(
    ({ attachmentId, hostName }) =>
      attachmentId !== record.attachmentId && hostName === context.properties.host,
  );
}

async function deleteAttachment(
  record: AttachmentRecord,
  context: AttachContext,
  signal: AbortSignal,
): Promise<void> {
  // The clone was not there yet, or is not attached any more.
  if (record.step === 'clone' || record.step === 'delete_clone') return;
  const id = record.attachmentId ?? (await findOrphan(record, context, signal));
  if (id === undefined) return;
  await context.journal.write({ ...record, attachmentId: id, host: undefined, step: 'delete' });
  try {
    await context.attachments.delete(id);
  } catch (error) {
    if (!CinderfsError.is(error) || error.code !== 'not_found') throw error;
  }
}
