import type { ConnectionInfo } from '../../cinder/contract/attachments.js';
import type { ConnectRequest } from '../connection/connector.js';
import { volumeFileOf } from '../connection/volume-file.js';
import { formatOf } from '../connection/volume-format.js';
import type { AttachContext } from '../context/context.js';
import { type AttachmentRecord, attachedVolumeOf } from '../journal/record.js';
import { canVerify } from '../proof/content.js';
import { refused } from '../context/refusal.js';

/**
 * What a connector has to know of a volume whose bytes are spread over the files of snapshots, beside its connection:
 * which snapshots there are, and whether a wrong guess would be noticed. Cinder is asked where it names such a file.
 */
export async function vouchedFor(
  record: AttachmentRecord,
  info: ConnectionInfo,
  { volumes, verifyLimit }: Pick<AttachContext, 'volumes' | 'verifyLimit'>,
): Promise<Pick<ConnectRequest, 'snapshots' | 'compared'>> {
  const { hash, imageSize } = record;
  if (formatOf(info) === 'raw' || volumeFileOf(info).snapshot === undefined) return {};
  const volumeId = attachedVolumeOf(record);
  const listed = await volumes.snapshots(volumeId).catch((error: unknown) => {
    throw refused(error, volumeId);
  });
  const compared = hash !== undefined && imageSize <= verifyLimit && canVerify(hash);
  return { snapshots: listed.map(({ id }) => id), compared };
}
