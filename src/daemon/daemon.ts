import { Cleanup } from '../async/cleanup.js';
import { systemClock } from '../async/clock.js';
import { connectOpenstack } from '../cinder/openstack.js';
import { requireVolumeAccess } from '../cinder/volume-access.js';
import type { CloudConfig } from '../config/cloud-config.js';
import type { Config } from '../config/options.js';
import { CinderfsError, reasonOf } from '../errors.js';
import { createImageFs } from '../fs/create-image-fs.js';
import { seekFileWith, systemCalls } from '../fs/fuse/ioctl.js';
import { prepareMountpoint } from '../fs/mountpoint.js';
import type { Log } from '../log.js';
import { startControlServer } from '../ops/control-server.js';
import { controlSocketPath } from '../ops/control-socket.js';
import { attachmentPool, detachAll, noteReadError } from './attachments.js';
import { type AttachmentCalls, attachmentCalls } from './control-calls.js';
import { OpenGate } from './open-gate.js';
import { proveServing } from './prove-serving.js';
import { Shutdown } from './shutdown.js';
import { StatusReporter } from './status.js';
import { mountTransport } from './transports.js';

export interface DaemonSettings {
  readonly config: Config;
  readonly cloud: CloudConfig;
  readonly mountpoint: string;
  readonly log: Log;
}

/** A serving mount. */
export interface Daemon {
  /** Settles when the mount is gone and nothing is attached any more; rejects with what had to be left behind. */
  readonly ended: Promise<void>;
  /** Refuses new opens, waits for open files as long as configured, unmounts, detaches; settles like `ended`. */
  stop(why: string): Promise<void>;
  /** No longer waits for open files. */
  hurry(): void;
}

const clock = systemClock;

/** Milliseconds for detaching everything when the mount goes; what is left then is in the journal. */
const DETACH_MS = 30_000;

/**
 * The composition root: wires every layer and starts them in the order in which each needs the one before. Whatever
 * fails, what was started before it is undone, in reverse. Resolves when the mount has answered a stat through the
 * kernel.
 */
export async function startDaemon(settings: DaemonSettings): Promise<Daemon> {
  const mountpoint = await prepareMountpoint(settings.mountpoint, settings.log);
  const cleanup = new Cleanup();
  let serving: Serving | undefined;
  const started = (): Serving => {
    if (serving !== undefined) return serving;
    throw new CinderfsError('not_running', 'the daemon is still starting');
  };
  const status = new StatusReporter({
    mountpoint,
    fuse: settings.config.fuse,
    cloud: settings.cloud.name,
    clock,
  });
  // It listens before everything else and is closed after it: a second daemon for this mount point is refused here,
  // and `cinderfs umount` gets its answer once nothing is attached any more.
  const control = await startControlServer(controlSocketPath(settings.config.run_dir, mountpoint), {
    'GET /status': () => status.report(),
    'POST /unmount': async () => {
      await started().shutdown.unmount();
      return { unmounted: mountpoint };
    },
    ...attachmentCalls(() => started().calls),
  });
  try {
    serving = await assemble({ ...settings, mountpoint }, cleanup, status);
    const { shutdown } = serving;
    return {
      ended: shutdown.finished.finally(() => control.close()),
      stop: (why) => shutdown.stop(why),
      hurry: () => shutdown.hurry(),
    };
  } catch (error) {
    for (const failure of await cleanup.run()) {
      settings.log.error({ reason: reasonOf(failure.error) }, `could not ${failure.what}`);
    }
    await control.close();
    throw error;
  }
}

/** What the control socket talks to once the mount stands. */
interface Serving {
  readonly shutdown: Shutdown;
  readonly calls: AttachmentCalls;
}

async function assemble(
  settings: DaemonSettings,
  cleanup: Cleanup,
  status: StatusReporter,
): Promise<Serving> {
  const { config, cloud, mountpoint, log } = settings;
  const openstack = await connectOpenstack({ cloud, config, log, clock });
  cleanup.defer('close the OpenStack session', () => openstack.close());
  await openstack.catalog.refresh();
  await requireVolumeAccess(openstack, log);

  const pool = attachmentPool({ openstack, config, mountpoint, log, clock });
  await pool.start();
  cleanup.defer('detach the volumes', () => detachAll(pool, DETACH_MS));
  cleanup.defer(
    'stop watching the catalog',
    openstack.catalog.onChange((snapshot) => pool.review(snapshot)),
  );
  await openstack.catalog.start();

  const gate = new OpenGate(pool);
  const filesystem = createImageFs({
    catalog: openstack.catalog,
    pool: gate,
    status: () => JSON.stringify(status.report(), null, 2),
    options: {
      uid: config.uid,
      gid: config.gid,
      fileMode: config.file_mode,
      readTimeoutMs: config.read_timeout * 1000,
      cacheBytes: config.cache_size,
    },
    seekFile: seekFileWith(systemCalls()),
    onReadError: noteReadError(pool, log),
    log,
    clock,
  });
  cleanup.defer('close the file system', () => filesystem.close());

  const transport = await mountTransport(filesystem, settings);
  let mounted = true;
  void transport.ended.then(() => (mounted = false));
  cleanup.defer('unmount', () => (mounted ? transport.unmount({ abort: true }) : undefined));
  const shutdown = new Shutdown({
    transport,
    gate,
    cleanup,
    drainMs: config.drain_timeout * 1000,
    log,
    clock,
  });
  await proveServing(mountpoint, clock);
  status.serving({
    catalog: openstack.catalog,
    pool,
    draining: () => gate.closed,
    opened: () => filesystem.opened(),
    served: () => transport.served(),
  });
  return { shutdown, calls: { mountpoint, pool, snapshot: () => openstack.catalog.snapshot } };
}
