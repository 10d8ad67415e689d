import { join } from 'node:path';
import { type PoolService, createAttachmentPool } from '../../src/attach/service.js';
import type { PoolOptions } from '../../src/attach/pool-options.js';
import { connectOpenstack, type Openstack } from '../../src/cinder/openstack.js';
import { loadCloud } from '../../src/config/cloud.js';
import { loadConfig } from '../../src/config/load.js';
import { silentLog } from '../../src/log.js';
import { FileQemuConnector } from './file-qemu-connector.js';

export interface CloudPool {
  readonly openstack: Openstack;
  readonly service: PoolService;
  readonly close: () => Promise<void>;
}

/** A started pool on the cloud that `env` reaches, its state and sockets under `directory`. */
export async function poolOnCloud(
  env: Readonly<Record<string, string>>,
  directory: string,
  options: Partial<PoolOptions> = {},
): Promise<CloudPool> {
  const loaded = loadConfig({ env, flags: {} });
  const cloud = loadCloud({ loaded, env, directory });
  const openstack = await connectOpenstack({ cloud, config: loaded.config, log: silentLog });
  const service = createAttachmentPool({
    attachments: openstack.attachments,
    volumes: openstack.volumes,
    clones: openstack.clones,
    images: openstack.images,
    stateDir: join(directory, 'state'),
    runDir: join(directory, 'run'),
    mountpoint: join(directory, 'mnt'),
    mountId: 'test',
    host: 'crash-host',
    connector: 'auto',
    localDirectories: loaded.config.local_directories,
    connectors: [new FileQemuConnector(join(directory, 'run', 'nbd'))],
    times: { lingerMs: 50, orphanMs: 300 },
    log: silentLog,
    ...options,
  });
  try {
    await service.start();
  } catch (error) {
    await openstack.close();
    throw error;
  }
  const close = async (): Promise<void> => {
    await service.close();
    await openstack.close();
  };
  return { openstack, service, close };
}
