import type { ConnectionInfo } from '../../cinder/contract/attachments.js';
import { CinderfsError } from '../../errors.js';
import type { AttachContext } from '../context/context.js';
import type { AttachmentRecord } from '../journal/record.js';
import { hasFormat } from '../connection/volume-format.js';
import { refused } from '../context/refusal.js';

/**
 * Names this host to Cinder; answers with what it says about reaching the volume. What decides the meaning of its bytes
 * is taken from GET alone (volume-format.ts): the answer to PUT is the driver's guess.
 */
export async function exportVolume(
  record: AttachmentRecord,
  context: AttachContext,
): Promise<ConnectionInfo> {
  const { attachments, properties } = context;
  const { attachmentId: id = '', volumeId } = record;
  try {
    const { connectionInfo: told } = await attachments.update(id, properties);
    const ask = told === undefined || hasFormat(told);
    const info = ask ? (await attachments.show(id)).connectionInfo : told;
    if (info !== undefined) return info;
  } catch (error) {
    throw refused(error, volumeId);
  }
  throw new CinderfsError('attach_refused', 'Cinder exported the volume without saying where', {
    volume: volumeId,
    attachment: id,
  });
}
