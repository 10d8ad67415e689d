import type { CatalogImage } from '../cinder/types.js';
import { CinderfsError } from '../errors.js';
import type { Attributes, FileMemo } from './filesystem.js';

/** What is remembered of an open file: what its handle shows for its whole life. */
export type RememberedFile =
  | { readonly is: 'image'; readonly image: CatalogImage; readonly attributes: Attributes }
  /** Its text is made anew. */
  | { readonly is: 'text'; readonly attributes: Attributes };

export function memoOf(file: RememberedFile): FileMemo {
  return file;
}

/** @throws CinderfsError `bad_handle` for a memo of another version that this one does not understand. */
export function parseMemo(memo: FileMemo): RememberedFile {
  const file = memo as Partial<RememberedFile>;
  if (typeof file.attributes?.node === 'number') {
    if (file.is === 'text') return { is: 'text', attributes: file.attributes };
    if (
      file.is === 'image' &&
      typeof file.image?.volumeId === 'string' &&
      Number.isSafeInteger(file.image.size)
    )
      return { ...(file as RememberedFile & { is: 'image' }), image: reviveImage(file.image) };
  }
  throw new CinderfsError('bad_handle', 'an open file of an earlier process cannot be opened again');
}

/** An image that travelled as JSON, which knows no dates. */
export function reviveImage(image: CatalogImage): CatalogImage {
  return { ...image, createdAt: new Date(image.createdAt), updatedAt: new Date(image.updatedAt) };
}
