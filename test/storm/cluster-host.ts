import path from 'node:path';
import type { AttachContext } from '../../src/attach/context/context.js';
import type { Journal } from '../../src/attach/journal/journal.js';
import { createAttachmentPool, type PoolService } from '../../src/attach/service.js';
import { connectOpenstack } from '../../src/cinder/openstack.js';
import { loadCloud } from '../../src/config/cloud.js';
import { loadConfig } from '../../src/config/load.js';
import { silentLog } from '../../src/log.js';
import type { TestImage } from '../support/cloud.js';
import { SlowConnector } from './slow-connector.js';

export interface ClusterHostOptions {
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
  /** State and sockets of this host are below it, under its name. */
  readonly dir: string;
  readonly image: Pick<TestImage, 'size'>;
  readonly hostWorkMs: number;
  readonly times?: Partial<AttachContext['times']>;
  readonly journalled?: (journal: Journal) => Journal;
}

/** A hypervisor with its own name, initiator and session; its host work takes time and makes nothing. */
export interface ClusterHost {
  readonly name: string;
  readonly pool: PoolService;
  readonly close: () => Promise<void>;
}

/** A host whose pool has started: whatever an earlier life left is being undone. */
export async function clusterHost(options: ClusterHostOptions): Promise<ClusterHost> {
  const { name, env, image, hostWorkMs, times, journalled } = options;
  const home = path.join(options.dir, name);
  const loaded = loadConfig({ env, flags: {} });
  const cloud = loadCloud({ loaded, env, directory: home });
  const openstack = await connectOpenstack({ cloud, config: loaded.config, log: silentLog });
  const pool = createAttachmentPool({
    attachments: openstack.attachments,
    volumes: openstack.volumes,
    clones: openstack.clones,
    images: openstack.images,
    stateDir: path.join(home, 'state'),
    runDir: path.join(home, 'run'),
    mountpoint: path.join(home, 'images'),
    mountId: name,
    host: name,
    initiator: `iqn.2026-01.org.cinderfs:${name}`,
    connector: 'auto',
    connectors: [new SlowConnector(hostWorkMs, image.size)],
    log: silentLog,
    ...(times === undefined ? {} : { times }),
    ...(journalled === undefined ? {} : { journalled }),
  });
  await pool.start();
  return {
    name,
    pool,
    close: async () => {
      await pool.close();
      await openstack.close();
    },
  };
}
