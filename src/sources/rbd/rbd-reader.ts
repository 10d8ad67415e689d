/** Reads an RBD image by librbd, on pool threads. */
import type { RbdAddress } from '../../ceph/address.js';
import type { RbdImages } from '../../ceph/rbd-images.js';
import { CinderfsError } from '../../errors.js';
import type { CachedReaderOptions } from '../cached/cached-reader.js';
import { cachedReader } from '../cached/cached-reader.js';
import type { SourceReader } from '../contract/reader.js';

/** An RBD image, open in this process for as long as it is attached. */
export interface AttachedImage {
  readonly address: RbdAddress;
  /** Which image it is, whatever has its name by now. */
  readonly id: string;
}

/** Joins the image that is attached; `read_failed` when it is another one by now or shorter than the image file. */
export async function openRbdReader(
  { address, id }: AttachedImage,
  images: RbdImages | undefined,
  options: CachedReaderOptions,
): Promise<SourceReader> {
  if (images === undefined) throw new CinderfsError('read_failed', 'RBD images are not read here');
  const { image, release } = await images.share(address, id);
  const remote = {
    size: image.size,
    alignment: 1,
    broken: false,
    read: async (offset: number, buffers: readonly Buffer[]) => {
      let at = offset;
      const reads: Promise<void>[] = [];
      for (const bytes of buffers) {
        reads.push(image.read(at, bytes));
        at += bytes.length;
      }
      // All of them, also when one failed: their memory is used again.
      const failed = (await Promise.allSettled(reads)).find(({ status }) => status === 'rejected');
      if (failed?.status === 'rejected') throw CinderfsError.from(failed.reason, 'read_failed');
    },
    seek: (offset: number, whence: 'data' | 'hole') => image.seek(offset, whence),
    close: release,
  };
  return cachedReader(remote, options);
}
