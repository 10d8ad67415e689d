import type { CatalogImage } from '../cinder/types.js';
import type { Attributes } from './filesystem.js';

/** Who owns the files and who may read them. */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
  /** Permission bits of image files, e.g. 0o440. */
  readonly fileMode: number;
}

/** Bytes that `stat` reports as the preferred size of one read, and the unit of statfs. */
export const IO_SIZE = 1 << 20;

/** An image as a regular file: its size is the image's, never the volume's; its times are Glance's, so they are stable. */
export function imageAttributes(node: number, image: CatalogImage, owner: Ownership): Attributes {
  return {
    node,
    kind: 'file',
    permissions: owner.fileMode,
    size: image.size,
    links: 1,
    uid: owner.uid,
    gid: owner.gid,
    modifiedMs: image.updatedAt.getTime(),
    changedMs: image.updatedAt.getTime(),
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
    permissions: 0o555,
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
  return { ...attributes, kind: 'file', permissions: 0o444, size, volatile: true };
}
