/** Encrypted volumes: the one decision about them, for every connector and before one is chosen. */
import type { ConnectionInfo } from '../../cinder/contract/attachments.js';
import { CinderfsError } from '../../errors.js';
import type { ImageHash } from '../journal/record.js';
import { canVerify } from './content.js';

interface Judged {
  readonly volumeId: string;
  /** Bytes. */
  readonly imageSize: number;
  readonly hash?: ImageHash | undefined;
}

/** Whether Cinder calls the volume encrypted, in either of the places where it does. */
export function isEncrypted(
  volume: { readonly encrypted?: boolean | undefined },
  info?: ConnectionInfo,
): boolean {
  return volume.encrypted === true || info?.encrypted === true;
}

/**
 * Refuses what could not be proven to be the image. A connector reads the volume as it is: ciphertext where Cinder or
 * Nova wrote it, the image itself where glance_store did (on iSCSI and FC it writes past the encryption). Only Glance's
 * hash of the image tells the two apart: a cipher without a header looks like any other bytes. Throws `volume_encrypted`.
 */
export function judgeEncrypted({ volumeId: volume, imageSize, hash }: Judged, verifyLimit: number): void {
  const why = (text: string, remedy: string): CinderfsError =>
    new CinderfsError('volume_encrypted', `volume ${volume} is encrypted, and ${text}`, { volume, remedy });
  if (hash === undefined || !canVerify(hash))
    throw why(
      'Glance has no hash of the image that tells whether its bytes are the image or ciphertext',
      'Upload the image again, so that Glance has a hash of it, to a volume type without encryption.',
    );
  if (imageSize > verifyLimit)
    throw why(
      `the image has ${imageSize} bytes, more than are compared with Glance's hash`,
      `Set verify_limit to ${imageSize} bytes or more, so that the whole image is compared with its hash.`,
    );
}

/** The hash said no. */
export function ciphertext(volume: string): CinderfsError {
  return new CinderfsError(
    'volume_encrypted',
    `volume ${volume} is encrypted, and its bytes are not what Glance hands out as the image`,
    { volume },
  );
}
