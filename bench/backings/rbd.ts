import { readFile } from 'node:fs/promises';
import { Absent } from '../absent.js';
import type { Image, PrepareBacking } from './backing.js';

const IMAGE = 'demo-rbd-multi';

/** What is needed of the lab's description of itself. */
interface Lab {
  readonly clouds_yaml: string;
  readonly cloud: string;
  readonly ceph_conf: string;
  readonly images: readonly LabImage[];
}

interface LabImage {
  readonly name: string;
  readonly id: string;
  readonly size: number;
  readonly volume_id: string;
}

/** The RBD volume of an image that the lab's Glance put into the lab's Cinder, and that cloud itself. */
export const prepareRbd: PrepareBacking = async ({ options }) => {
  const lab = await readLab(options.lab);
  const found = lab.images.find(({ name }) => name === IMAGE);
  if (found === undefined) throw new Absent(`the lab has no image ${IMAGE}`);
  // Where Cinder's RBD driver and the lab put it; connection_info says the same.
  const volume = { pool: 'volumes', image: `volume-${found.volume_id}`, user: 'cinder' };
  const dense: Image = {
    name: 'dense',
    backing: 'rbd',
    bytes: found.size,
    target: { kind: 'rbd', ...volume },
    qemu: `driver=rbd,pool=${volume.pool},image=${volume.image},user=${volume.user},conf=${lab.ceph_conf}`,
    bytesGiven: undefined,
  };
  return {
    name: 'rbd',
    dense,
    sparse: undefined,
    cloud: {
      environment: { OS_CLIENT_CONFIG_FILE: lab.clouds_yaml, OS_CLOUD: lab.cloud },
      connector: 'rbd',
      fileName: () => found.id,
    },
  };
};

async function readLab(path: string): Promise<Lab> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Lab;
  } catch (error) {
    throw new Absent(`no OpenStack lab at ${path} (test/openstack brings one up)`, { cause: error });
  }
}
