import type { CatalogImage } from '../cinder/contract/catalog.js';
import { CinderfsError } from '../errors.js';
import type { Attributes, FileMemo } from './contract/filesystem.js';
import { keptImage } from './tree/kept-image.js';

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
  const { is, attributes } = memo;
  if (isOfFile(attributes)) {
    if (is === 'text') return { is, attributes };
    const image = keptImage(memo.image);
    // A file that is longer than its image would show what else is in the volume.
    if (is === 'image' && image?.size === attributes.size) return { is, image, attributes };
  }
  throw new CinderfsError('bad_handle', 'an open file of an earlier process cannot be opened again');
}

const NUMBERS = ['node', 'permissions', 'size', 'links', 'uid', 'gid'] as const;
const TIMES = ['modifiedMs', 'changedMs'] as const;

function isOfFile(value: unknown): value is Attributes {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Partial<Record<keyof Attributes, unknown>>;
  return (
    fields.kind === 'file' &&
    NUMBERS.every((name) => Number.isSafeInteger(fields[name]) && (fields[name] as number) >= 0) &&
    TIMES.every((name) => Number.isFinite(fields[name]))
  );
}
