/** Extended attributes of image files: what an operator asks about one file. Never a secret. */
import type { AttachmentPool } from '../../attach/contract/lease.js';
import type { CatalogImage } from '../../cinder/contract/catalog.js';

const PREFIX = 'user.cinderfs.';

/**
 * Answered and not listed: they tell of this mount and this moment. `cp -a`, `rsync -X` and `tar --xattrs` copy what is
 * listed, and a copy is not "attached".
 */
export const UNLISTED_XATTRS: ReadonlySet<string> = new Set([`${PREFIX}state`, `${PREFIX}last_error`]);

/**
 * Attribute values by full name, absent ones left out. `safety` is known once the image was opened. `state` and
 * `last_error` are of this moment.
 */
export function imageXattrs(image: CatalogImage, pool: AttachmentPool): Map<string, string> {
  const attachment = pool.report().find((report) => report.imageId === image.id);
  const values = {
    name: image.name,
    image_id: image.id,
    volume_id: image.volumeId,
    disk_format: image.diskFormat,
    hash: imageHash(image),
    safety: pool.safety(image.id),
    state: attachment?.state ?? 'detached',
    last_error: pool.lastError(image.id),
  };
  const xattrs = new Map<string, string>();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) xattrs.set(PREFIX + name, value);
  }
  return xattrs;
}

function imageHash({ hashAlgorithm, hashValue }: CatalogImage): string | undefined {
  if (hashAlgorithm === undefined || hashValue === undefined) return undefined;
  return `${hashAlgorithm}:${hashValue}`;
}
