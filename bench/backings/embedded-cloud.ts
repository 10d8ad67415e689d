import { mkdir } from 'node:fs/promises';
import { startDevcloud, type Devcloud } from '../../devcloud/devcloud.js';
import type { Workbench } from '../workbench.js';
import type { Cloud, Image } from './backing.js';

/** The embedded cloud with one Cinder volume for each image: not a copy of its bytes but those very bytes. */
export async function startEmbeddedCloud(images: readonly Image[], workbench: Workbench): Promise<Cloud> {
  const { directory, cleanup } = await workbench.room();
  const dir = `${directory}/cloud`;
  await mkdir(dir);
  const devcloud = await startDevcloud({ dir, volumeBytes: 'exact' });
  cleanup.defer('embedded cloud', () => devcloud.close());
  const ids = new Map<Image, string>();
  for (const image of images) ids.set(image, await addImage(devcloud, image));
  return {
    // The images lie in the bench's own directory, beside the cloud's.
    environment: { ...devcloud.env, CINDERFS_LOCAL_DIRECTORIES: workbench.directory },
    connector: 'local',
    fileName: (image) => ids.get(image) ?? image.name,
  };
}

/** Adds an image of zeros, which takes no space, and then puts its volume where the bytes are. */
async function addImage(devcloud: Devcloud, image: Image): Promise<string> {
  if (image.target.kind !== 'path') throw new TypeError('the embedded cloud has local volumes only');
  const { id, volumeId } = await devcloud.addImage({ name: image.name, size: image.bytes });
  const volume = devcloud.cloud.volumes.get(volumeId ?? '');
  if (volume === undefined) throw new Error(`image ${id} has no volume`);
  volume.path = image.target.path;
  return id;
}
