import path from 'node:path';
import type { PoolService } from '../attach/service.js';
import type { CatalogImage, CatalogSnapshot } from '../cinder/contract/catalog.js';
import { CinderfsError } from '../errors.js';
import { assignFileNames } from '../fs/tree/file-names.js';
import { describeHolder, findHolders } from '../fs/mount/holders.js';
import type { ControlHandlers } from '../ops/control-server.js';

/** What the calls about attachments work on. */
export interface AttachmentCalls {
  readonly mountpoint: string;
  readonly pool: Pick<PoolService, 'releaseImage' | 'reap' | 'report'>;
  readonly snapshot: () => CatalogSnapshot;
}

/**
 * `POST /release?image=ID-or-name-or-by-name/FILE` lets go of an image now; `POST /reap?dry_run=true&dead_host=NAME` settles leftovers.
 * `parts` throws `not_running` until the mount serves.
 */
export function attachmentCalls(parts: () => AttachmentCalls): ControlHandlers {
  return {
    'POST /release': async (query) => release(query.get('image') ?? '', parts()),
    'POST /reap': async (query) => {
      const deadHost = query.get('dead_host') ?? undefined;
      return parts().pool.reap({ dryRun: query.get('dry_run') === 'true', deadHost });
    },
  };
}

async function release(
  wanted: string,
  { mountpoint, pool, snapshot }: AttachmentCalls,
): Promise<{ image: string; detached: boolean }> {
  const image = imageCalled(wanted, pool, snapshot());
  try {
    return { image, detached: await pool.releaseImage(image) };
  } catch (error) {
    if (!CinderfsError.is(error) || error.code !== 'holders') throw error;
    const holders = await findHolders(path.join(mountpoint, image));
    if (holders.length === 0) throw error;
    throw new CinderfsError('holders', `${wanted} is open: ${holders.map(describeHolder).join('; ')}`, {
      ...error.context,
      remedy: 'Close the files the message names, then release it again.',
    });
  }
}

/** By id, by name or by its file in by-name; a name that several images share is refused. An image that left the catalog may still be attached. */
function imageCalled(wanted: string, pool: AttachmentCalls['pool'], { images }: CatalogSnapshot): string {
  const file = wanted.startsWith(BY_NAME) ? imageOfFile(wanted.slice(BY_NAME.length), images) : undefined;
  if (file !== undefined) return file;
  const attached = pool.report().filter(({ imageId, imageName }) => [imageId, imageName].includes(wanted));
  const known = [...images.values()].filter(({ id, name }: CatalogImage) => id === wanted || name === wanted);
  const ids = new Set([...attached.map(({ imageId }) => imageId), ...known.map(({ id }) => id)]);
  const [id] = ids;
  if (ids.has(wanted)) return wanted;
  if (id === undefined) throw new CinderfsError('image_not_found', `no image is called ${wanted}`);
  if (ids.size > 1)
    throw new CinderfsError('usage', `${ids.size} images are called ${wanted}`, {
      remedy: `Name one by its id: ${[...ids].join(', ')}.`,
    });
  return id;
}

const BY_NAME = 'by-name/';

function imageOfFile(file: string, images: CatalogSnapshot['images']): string | undefined {
  return [...assignFileNames(images.values())].find(([, name]) => name === file)?.[0];
}
