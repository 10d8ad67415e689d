/** Whether what we hold is still ours to read: questions to Cinder, of which only a positive answer changes anything. */
import { CinderfsError } from '../../errors.js';
import type { Volume } from '../../cinder/contract/volumes.js';
import type { AttachContext } from '../context/context.js';
import { attachedVolumeOf } from '../journal/record.js';
import { targetOf } from '../target/choose-target.js';
import type { LiveAttachment } from './live-attachment.js';

/**
 * Asks Cinder whether the attachment is still there and in one of `statuses`. `attachment_lost` when it is not. Silence
 * proves nothing, and a 404 alone does not either (a proxy says it, too): Cinder is asked about the volume before it is
 * believed.
 */
export async function checkHeld(
  held: LiveAttachment,
  context: AttachContext,
  deadlineMs: number,
  statuses: readonly string[] = ['attached'],
): Promise<void> {
  const { attachmentId: attachment } = held.record;
  if (attachment === undefined) return;
  try {
    const { status } = await context.attachments.show(attachment, { deadlineMs });
    if (!statuses.includes(status)) throw lost(held, `is ${status} in Cinder`);
  } catch (error) {
    if (!CinderfsError.is(error) || error.code === 'attachment_lost') throw error;
    if (error.code === 'not_found' && (await confirmsLoss(held, context, deadlineMs)))
      throw lost(held, 'was removed from Cinder', error);
    tellSilence(held, context, error);
  } finally {
    held.checkedAt = context.clock.now();
  }
}

/**
 * Asks Cinder whether the volume still holds the image. `image_changed` when it says that it holds another one or is
 * being deleted, `attachment_lost` when the volume is gone. An error status says nothing about bytes that are there.
 */
export async function checkVolume(
  held: LiveAttachment,
  context: AttachContext,
  deadlineMs: number,
): Promise<void> {
  const { imageId, volumeId } = held.record;
  const { outlivesSource } = targetOf(held.record);
  const volume = await shownVolume(volumeId, held, context, deadlineMs);
  if (volume === 'silent') return;
  if (volume === undefined) {
    if (outlivesSource) return;
    throw lost(held, 'went with its volume');
  }
  const claim = volume.metadata.glance_image_id;
  if (claim !== undefined && claim !== imageId)
    throw changed(held, `Cinder says that volume ${volumeId} holds image ${claim}`);
  if (volume.status === 'deleting' && !outlivesSource)
    throw changed(held, `Cinder is deleting volume ${volumeId}`);
}

/** The image is, or is in, something else now: `why`, a sentence. */
export function changed({ record: { imageId, volumeId } }: LiveAttachment, why: string): CinderfsError {
  return new CinderfsError('image_changed', why, { image: imageId, volume: volumeId });
}

/** True where Cinder answers about the volume, and the answer does not have the attachment. */
async function confirmsLoss(
  held: LiveAttachment,
  context: AttachContext,
  deadlineMs: number,
): Promise<boolean> {
  const volume = await shownVolume(attachedVolumeOf(held.record), held, context, deadlineMs);
  if (volume === 'silent') return false;
  return !(volume?.attachments ?? []).some(({ attachmentId }) => attachmentId === held.record.attachmentId);
}

/** The volume; undefined when Cinder is alive and does not have it. */
async function shownVolume(
  id: string,
  held: LiveAttachment,
  context: AttachContext,
  deadlineMs: number,
): Promise<Volume | undefined | 'silent'> {
  try {
    return await context.volumes.show(id, { deadlineMs });
  } catch (error) {
    if (!CinderfsError.is(error)) throw error;
    if (error.code !== 'not_found') return tellSilence(held, context, error);
  }
  try {
    // A server that answers 404 to everything is not Cinder.
    return (await context.volumes.list({ deadlineMs })).find((volume) => volume.id === id);
  } catch (error) {
    if (!CinderfsError.is(error)) throw error;
    return tellSilence(held, context, error);
  }
}

function tellSilence(
  { record }: LiveAttachment,
  { log }: Pick<AttachContext, 'log'>,
  error: CinderfsError,
): 'silent' {
  const { volumeId: volume, attachmentId: attachment } = record;
  log.debug({ volume, attachment, err: error }, 'cannot ask Cinder about an attachment; it is kept');
  return 'silent';
}

function lost({ record }: LiveAttachment, why: string, cause?: CinderfsError): CinderfsError {
  const { volumeId: volume, attachmentId: attachment } = record;
  return new CinderfsError('attachment_lost', `the attachment of volume ${volume} ${why}`, {
    volume,
    attachment,
    requestId: cause?.context.requestId,
    cause,
  });
}
