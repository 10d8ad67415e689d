import type { Clock } from '../async/clock.js';
import type { Leftover, ReapOptions } from '../attach/contract/leftovers.js';
import { createAttachmentPool, type PoolService } from '../attach/service.js';
import type { RbdImages } from '../ceph/rbd-images.js';
import { connectOpenstack, type Openstack } from '../cinder/openstack.js';
import type { CloudConfig } from '../config/cloud-config.js';
import type { Config } from '../config/options.js';
import { CinderfsError } from '../errors.js';
import type { Log } from '../log.js';
import { mountIdOf, runDirOf } from './run-dir.js';

/** Milliseconds for undoing what a journal has when no daemon is to run. */
const SETTLE_MS = 120_000;

export interface AttachmentSettings {
  readonly openstack: Openstack;
  readonly config: Config;
  readonly mountpoint: string;
  readonly log: Log;
  readonly clock: Clock;
  /** See PoolOptions. */
  readonly rbdImages?: RbdImages | undefined;
  readonly inPlace?: boolean | undefined;
}

/** The attachment pool of this mount, as the configuration wants it. */
export function attachmentPool({
  openstack,
  config,
  mountpoint,
  log,
  clock,
  rbdImages,
  inPlace,
}: AttachmentSettings): PoolService {
  return createAttachmentPool({
    attachments: openstack.attachments,
    volumes: openstack.volumes,
    clones: openstack.clones,
    images: openstack.images,
    isolate: config.isolate,
    verifyLimit: config.verify_limit,
    localDirectories: config.local_directories,
    imageSafety: config.image_safety,
    stateDir: config.state_dir,
    runDir: runDirOf(config, mountpoint),
    mountpoint,
    mountId: mountIdOf(mountpoint),
    connector: config.connector,
    kernel: {
      multipath: config.multipath,
      enforceMultipath: config.enforce_multipath,
      lockDirectories: config.lock_directories,
      wildcardScan: config.wildcard_scan,
    },
    rbdLimits: { user: config.rbd_user, pools: config.rbd_pools, cluster: config.rbd_cluster },
    host: config.host,
    ip: config.my_ip,
    initiator: config.initiator_name,
    attachLimit: config.attach_limit,
    ceilings: {
      perHost: config.attachments_per_host,
      perUser: config.attachments_per_user,
      singlePerUser: config.exclusive_per_user,
    },
    times: {
      lingerMs: config.linger * 1000,
      openMs: config.open_timeout * 1000,
      attachBudgetMs: config.attach_budget * 1000,
    },
    rbdImages,
    inPlace,
    log,
    clock,
  });
}

/** A read that failed is told to the pool, which keeps it for `last_error`, and to the log. */
export function noteReadError(
  pool: Pick<PoolService, 'readFailed'>,
  log: Log,
): (image: string, error: CinderfsError) => void {
  return (image, error) => {
    pool.readFailed(image, error);
    log.error({ image, code: error.code, reason: error.toLine() }, 'read failed');
  };
}

/**
 * Detaches everything; throws `detach_failed` naming what is still attached (the journal keeps it for the next start).
 * Where the journal cannot be written nothing is detached: no step is taken that it does not have.
 */
export async function detachAll(pool: PoolService, deadlineMs: number): Promise<void> {
  const trouble = await pool.journalTrouble();
  const left = trouble === undefined ? await pool.drain({ deadlineMs }) : pool.report();
  await pool.close();
  if (left.length === 0) return;
  const names = left.map(({ volumeId, state }) => `${volumeId} (${state})`).join(', ');
  const because = trouble === undefined ? '' : `; ${trouble.message}`;
  throw new CinderfsError('detach_failed', `still attached: ${names}${because}`, {
    remedy:
      (trouble === undefined ? '' : `${trouble.remedy} `) +
      'The next start on the same state directory takes them up again, and `cinderfs attachments DIR --reap` detaches them.',
  });
}

/** Settles what a mount that does not run left behind, or a dead host; see PoolService.settle. */
export async function settleLeftovers(
  settings: Omit<AttachmentSettings, 'openstack'> & { readonly cloud: CloudConfig },
  options: ReapOptions,
): Promise<readonly Leftover[]> {
  const openstack = await connectOpenstack(settings);
  try {
    return await attachmentPool({ ...settings, openstack }).settle({ ...options, deadlineMs: SETTLE_MS });
  } finally {
    await openstack.close();
  }
}
