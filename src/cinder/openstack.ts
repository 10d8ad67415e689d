import { type Clock, systemClock } from '../async/clock.js';
import type { CloudConfig } from '../config/cloud-config.js';
import type { Config } from '../config/options.js';
import type { Log } from '../log.js';
import { AttachmentsClient } from './volumes/attachments.js';
import { ImageCatalog } from './catalog/catalog.js';
import { ClonesClient } from './volumes/clones.js';
import { Http } from './http/http.js';
import { Images, type ListedImage } from './glance/images.js';
import { VolumeEndpoint } from './volumes/microversion.js';
import { Session } from './keystone/session.js';
import type { Attachments } from './contract/attachments.js';
import type { Clones } from './contract/volumes.js';
import { isServed, type Visibility } from './glance/visibility.js';
import { VolumesClient } from './volumes/volumes.js';

export interface OpenstackOptions {
  readonly cloud: CloudConfig;
  /** See SessionOptions. */
  readonly reread?: (() => CloudConfig) | undefined;
  readonly config: Pick<
    Config,
    | 'http_timeout'
    | 'http_retries'
    | 'volume_microversion'
    | 'page_size'
    | 'image_list_ttl'
    | 'visibility'
    | 'hidden_images'
  >;
  readonly log: Log;
  readonly clock?: Clock;
  /** False: logs in at the first call, so that a mount can start while the cloud is unreachable. */
  readonly logIn?: boolean;
}

/** A cloud we are logged in to. */
export interface Openstack {
  readonly session: Session;
  readonly images: Images;
  readonly volumes: VolumesClient;
  readonly attachments: Attachments;
  readonly clones: Clones;
  /** Not started: a caller that needs snapshots calls start(). */
  readonly catalog: ImageCatalog;
  /** Stops the catalog and closes all connections. Idempotent. */
  close(): Promise<void>;
}

/**
 * Logs in and negotiates the microversion, so that the returned Openstack is ready for use.
 * Throws `auth_failed`, `auth_unreachable`, `endpoint_missing`, `microversion_unsupported` and what HTTP throws.
 */
export async function connectOpenstack(options: OpenstackOptions): Promise<Openstack> {
  const { cloud, reread, config, log, clock = systemClock, logIn = true } = options;
  // An engine that takes a mount over has said them already, as the one before.
  for (const warning of logIn ? cloud.warnings : []) log.warn({ cloud: cloud.name }, warning);
  const timeoutMs = config.http_timeout * 1000;
  const http = new Http({
    tls: cloud.tls,
    proxies: cloud.proxies,
    clock,
    log,
    timeoutMs,
    retries: config.http_retries,
  });
  const session = new Session({ cloud, reread, http, clock, log, timeoutMs });
  const endpoint = new VolumeEndpoint(session, config.volume_microversion);
  const images = new Images(session, config.page_size);
  const volumes = new VolumesClient(endpoint, config.page_size);
  const served = async (): Promise<(image: ListedImage) => boolean> => {
    const { projectId, roles } = await session.token();
    const policy = {
      kinds: config.visibility as readonly Visibility[],
      projectId,
      isAdmin: roles.has('admin'),
    };
    return (image) => isServed(image, policy);
  };
  const also = [
    ...(config.hidden_images ? (['hidden'] as const) : []),
    ...(config.visibility.some((kind) => kind === 'community' || kind === 'all')
      ? (['community'] as const)
      : []),
  ];
  const ttlMs = config.image_list_ttl * 1000;
  const catalog = new ImageCatalog({ images, volumes, served, also, clock, log, ttlMs });
  const close = async (): Promise<void> => {
    catalog.stop();
    await http.close();
  };
  try {
    if (logIn) {
      await session.endpoint('image');
      await endpoint.api();
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    session,
    images,
    volumes,
    attachments: new AttachmentsClient({ endpoint, clock, timeoutMs }),
    clones: new ClonesClient(endpoint),
    catalog,
    close,
  };
}
