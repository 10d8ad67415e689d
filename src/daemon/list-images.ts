import { systemClock } from '../async/clock.js';
import type { CatalogImage } from '../cinder/contract/catalog.js';
import { connectOpenstack } from '../cinder/openstack.js';
import type { CloudConfig } from '../config/cloud-config.js';
import type { Config } from '../config/options.js';
import type { Log } from '../log.js';

export interface ListSettings {
  readonly cloud: CloudConfig;
  readonly config: Config;
  readonly log: Log;
}

/** The images that a mount with these settings would show, by name. Needs no daemon. Throws as connectOpenstack. */
export async function listImages({ cloud, config, log }: ListSettings): Promise<readonly CatalogImage[]> {
  const openstack = await connectOpenstack({ cloud, config, log, clock: systemClock });
  try {
    const { images } = await openstack.catalog.refresh();
    return [...images.values()].sort((a, b) => a.name.localeCompare(b.name) || a.id.localeCompare(b.id));
  } finally {
    await openstack.close();
  }
}
