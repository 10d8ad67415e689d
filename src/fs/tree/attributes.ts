import type { CatalogImage } from '../../cinder/contract/catalog.js';
import type { Attributes } from '../contract/filesystem.js';

/** Owner and mode of the files. */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
  /** Permission bits of image files, e.g. 0o440. */
  readonly fileMode: number;
  /** Every user may list names and sizes; otherwise only users that may read the files. */
  readonly openListing?: boolean | undefined;
}

/** Bytes that `stat` reports as the preferred size of one read, and the unit of statfs. */
export const IO_SIZE = 1 << 20;

/**
 * An image as a regular file: its size is the image's, never the volume's. The bytes of an image never change, so its
 * times are when it was made: `updated_at` moves with every tag and property, and rsync and tar would see new content.
 */
export function imageAttributes(node: number, image: CatalogImage, owner: Ownership): Attributes {
  return {
    node,
    kind: 'file',
    permissions: owner.fileMode,
    size: image.size,
    links: 1,
    uid: owner.uid,
    gid: owner.gid,
    modifiedMs: image.createdAt.getTime(),
    changedMs: image.createdAt.getTime(),
  };
}

export function symlinkAttributes(
  node: number,
  target: string,
  image: CatalogImage,
  owner: Ownership,
): Attributes {
  return {
    ...imageAttributes(node, image, owner),
    kind: 'symlink',
    permissions: 0o777,
    size: Buffer.byteLength(target),
  };
}

export function directoryAttributes(
  node: number,
  links: number,
  modifiedMs: number,
  owner: Ownership,
): Attributes {
  return {
    node,
    kind: 'directory',
    permissions: listingMode(owner),
    size: 0,
    links,
    uid: owner.uid,
    gid: owner.gid,
    modifiedMs,
    changedMs: modifiedMs,
  };
}

export function virtualFileAttributes(
  node: number,
  size: number,
  modifiedMs: number,
  owner: Ownership,
): Attributes {
  const attributes = directoryAttributes(node, 1, modifiedMs, owner);
  // Volume ids, paths on this host and failures: for the user that runs the mount, not for all that may read the images.
  return { ...attributes, kind: 'file', permissions: 0o400, size, volatile: true };
}

/**
 * 512-byte units that an image takes on this host, as st_blocks says it: next to none, for its bytes are on a volume.
 * Fewer than the size has is what makes cp, tar -S and rsync ask for holes; none at all is what old tar takes for one
 * single hole.
 */
export function blocksOf({ kind, size }: Pick<Attributes, 'kind' | 'size'>): number {
  return kind === 'file' ? Math.min(SOME_BLOCKS, Math.ceil(size / 512)) : 0;
}

/** One page. */
const SOME_BLOCKS = 8;

/** A user that may read the files may list and enter the directories. */
function listingMode({ fileMode, openListing }: Ownership): number {
  const readers = openListing ? 0o444 : fileMode & 0o444;
  return readers | (readers >> 2);
}
