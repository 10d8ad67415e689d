import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { kernelText } from '../../../sys/files/kernel-text.js';

/** An RBD image that the kernel of this host has as a block device, as /sys/bus/rbd/devices shows it. */
export interface MappedImage {
  /** /dev/rbdN. */
  readonly path: string;
  /** POOL/IMAGE or POOL/NAMESPACE/IMAGE. */
  readonly spec: string;
  readonly readOnly: boolean;
  /** Cluster, pool and the image's id in it, which no other image ever has: a name may be given again. */
  readonly name: string;
  /** The same, and which of the kernel's disks it is; no other disk ever had that number. */
  readonly identity: string;
}

/** Every image that is mapped now, by whomever. `root` is for tests, which have a tree of their own. */
export async function mappedImages(root = ''): Promise<readonly MappedImage[]> {
  const ids = await readdir(`${root}/sys/bus/rbd/devices`).catch(() => []);
  return Promise.all(ids.map((id) => mappedImage(root, id)));
}

/** What the kernel does not say is empty: attributes have come over time, and mappings go. */
async function mappedImage(root: string, id: string): Promise<MappedImage> {
  const mapping = join(root, 'sys/bus/rbd/devices', id);
  const disk = join(root, 'sys/block', `rbd${id}`);
  const [pool, namespace, image, cluster, poolId, imageId] = await Promise.all(
    ['pool', 'pool_ns', 'name', 'cluster_fsid', 'pool_id', 'image_id'].map((key) =>
      kernelText(join(mapping, key)),
    ),
  );
  const [readOnly, sequence] = await Promise.all(['ro', 'diskseq'].map((key) => kernelText(join(disk, key))));
  const name = `rbd.${cluster}/${poolId}/${imageId}`;
  return {
    path: `${root}/dev/rbd${id}`,
    spec: [pool, namespace, image].filter((part) => part !== '').join('/'),
    readOnly: readOnly === '1',
    name,
    identity: `${name} diskseq.${sequence}`,
  };
}
