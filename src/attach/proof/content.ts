/** What the bytes of an image on a connected volume are: a sample of them, or all. */
import { createHash, getHashes } from 'node:crypto';
import type { Connected } from '../connection/connector.js';
import type { ImageHash } from '../journal/record.js';

const KiB = 1024;
const SAMPLE = 64 * KiB;
const PIECE = 1024 * KiB;

/** Digest of the head and the tail of the image: cheap enough for every open, and two volumes hardly share both. */
export async function fingerprint(connected: Connected, imageSize: number): Promise<string> {
  const head = await connected.read(0, Math.min(SAMPLE, imageSize));
  const from = Math.max(head.length, imageSize - SAMPLE);
  const tail = from < imageSize ? await connected.read(from, imageSize - from) : Buffer.alloc(0);
  return createHash('sha256').update(head).update(tail).digest('hex');
}

/** Whether this process can tell. */
export function canVerify({ algorithm }: ImageHash): boolean {
  return getHashes().includes(algorithm);
}

/** Reads the whole image. */
export async function hasHash(connected: Connected, imageSize: number, hash: ImageHash): Promise<boolean> {
  const digest = createHash(hash.algorithm);
  for (let offset = 0; offset < imageSize; offset += PIECE)
    digest.update(await connected.read(offset, Math.min(PIECE, imageSize - offset)));
  return digest.digest('hex') === hash.value.toLowerCase();
}
