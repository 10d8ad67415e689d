import type { Connected } from '../connection/connector.js';

/** What a format is recognised by lies here: ISO 9660 has its mark at 32 KiB, all others before. */
export const HEAD_BYTES = 64 * 1024;
/** The footer of a stream-optimized VMDK and its two markers; that of a VHD is the last third of it. */
export const TAIL_BYTES = 1536;

/** The bytes of an image that say what it is. */
export interface HeadBytes {
  /** The first HEAD_BYTES of the image, all of it where it is smaller. */
  readonly head: Buffer;
  /** The last TAIL_BYTES of the image, all of it where it is smaller. */
  readonly tail: Buffer;
}

/** Reads both ends of an image through the connection that was proven. Rejects as `connected.read` does. */
export async function readHead(connected: Pick<Connected, 'read'>, imageSize: number): Promise<HeadBytes> {
  const head = await connected.read(0, Math.min(HEAD_BYTES, imageSize));
  const length = Math.min(TAIL_BYTES, imageSize);
  const tail =
    imageSize <= head.length
      ? head.subarray(imageSize - length)
      : await connected.read(imageSize - length, length);
  return { head, tail };
}
