import type { Cleanup } from '../async/cleanup.js';
import { sleep, type Clock } from '../async/clock.js';
import { unlessAborted } from '../async/unless-aborted.js';
import type { PoolService } from '../attach/service.js';
import { cephLibrary } from '../ceph/library.js';
import { RbdImages } from '../ceph/rbd-images.js';
import { connectOpenstack, type Openstack } from '../cinder/openstack.js';
import { requireVolumeAccess } from '../cinder/volume-access.js';
import { CinderfsError } from '../errors.js';
import { createImageFs, defaultSlotsPerSource } from '../fs/create-image-fs.js';
import { removeRequestAges } from '../fs/fuse/recovery/request-ages.js';
import { removeInFlight } from '../fs/fuse/recovery/in-flight.js';
import { OpenJournal } from '../fs/fuse/recovery/open-journal.js';
import { findMount } from '../sys/mounts/mount-table.js';
import { MountedPlace } from '../fs/mount/mounted-place.js';
import type { ImageFs } from '../fs/image-fs.js';
import type { MountedTransport } from '../fs/contract/transport.js';
import { sourceKinds } from '../sources/registry.js';
import type { SourceKinds } from '../sources/source-kinds.js';
import { attachmentPool, detachAll, noteReadError } from './attachments.js';
import { shareCache } from './cache-shares.js';
import type { AttachmentCalls } from './control-calls.js';
import type { Control } from './control.js';
import type { DaemonSettings } from './settings.js';
import { DaemonHandover } from './handover.js';
import { ImageFile } from './image-file.js';
import { OpenGate } from './open-gate.js';
import { proveServing } from './prove-serving.js';
import { runDirOf, SURVIVAL_FILES } from './run-dir.js';
import { Shutdown } from './shutdown.js';
import type { StatusReporter } from './status.js';
import type { Supervised } from './supervised-mount.js';
import { mountTransport } from './transports.js';

/** What there is before the layers. */
export interface DaemonContext {
  readonly cleanup: Cleanup;
  readonly status: StatusReporter;
  readonly control: Control;
  readonly clock: Clock;
}

export interface Assembled {
  readonly shutdown: Shutdown;
  readonly handover: DaemonHandover;
  /** What the control socket talks to. */
  readonly calls: AttachmentCalls;
  /** Reads the credentials again. */
  readonly reload: () => void;
}

/** Milliseconds for closing RBD images without a reader. */
const CLOSE_MS = 5_000;

/** Milliseconds for the threads of a mount to leave it once it was cut off. */
const CUT_MS = 5_000;

/** Milliseconds for detaching everything when the mount goes; what is left then is in the journal. */
const DETACH_MS = 30_000;

/**
 * The composition root: wires every layer and starts them in the order in which each needs the one before; each
 * leaves in `cleanup` how it is undone. An engine that takes a mount over waits for nothing that is not on this host:
 * readers do.
 */
export async function assemble(settings: DaemonSettings, ground: DaemonContext): Promise<Assembled> {
  const { config, mountpoint, log, supervised: engine } = settings;
  const { cleanup, status, control, clock } = ground;
  const inPlace = engine?.turn.mount !== undefined;
  // A mount that stands is ended in order, once it is served. From mount(8) on, so is a new one.
  const stopped = inPlace ? undefined : settings.stopped;
  const openstack = await unlessAborted(connect(settings, ground), stopped);
  const kept = await survival(settings, ground);

  const rbdImages = rbdImagesOf(settings, ground);
  const pool = attachmentPool({ openstack, config, mountpoint, log, clock, rbdImages, inPlace });
  await unlessAborted(pool.start(), stopped);
  cleanup.defer('detach the volumes', () => detachAll(pool, DETACH_MS));
  cleanup.defer(
    'stop watching the catalog',
    openstack.catalog.onChange((snapshot) => pool.review(snapshot)),
  );
  if (!inPlace) await unlessAborted(openstack.catalog.start(), stopped);

  const gate = new OpenGate(pool);
  const sources = sourceKinds({ rbdImages });
  const filesystem = imageFs(settings, ground, { openstack, pool, gate, sources });
  cleanup.defer('close the file system', () => filesystem.close());

  stopped?.throwIfAborted();
  const supervised = kept && { ...kept, onRestored: () => pool.settled() };
  const transport = await mountTransport(filesystem, { ...settings, sources }, supervised, clock);
  gate.onClose(() => transport.askForOpens?.());
  const place = await placeOf(settings);
  const opened = (): number => filesystem.opened().length;
  const shutdown = shutdownOf(settings, ground, { transport, gate, place, opened });
  await proveServing(mountpoint, clock);
  shutdown.watch();
  status.serving({
    catalog: openstack.catalog,
    loginFailure: () => openstack.session.loginFailure,
    pool,
    draining: () => gate.closed,
    opened: () => filesystem.opened(),
    served: () => transport.served(),
  });
  return {
    shutdown,
    handover: new DaemonHandover({ pool, gate, transport, control, clock, log }),
    calls: { mountpoint, pool, snapshot: () => openstack.catalog.snapshot },
    reload: () => openstack.session.reload(),
  };
}

/** The RBD images of this process; closed before it goes. */
function rbdImagesOf({ config }: DaemonSettings, { cleanup, clock }: DaemonContext): RbdImages {
  const timeoutMs = config.read_timeout * 1000;
  const images = new RbdImages({ library: cephLibrary, timeoutMs, slots: defaultSlotsPerSource() });
  // One whose cluster hangs is left to the end of the process.
  cleanup.defer('close the RBD images', () => Promise.race([images.quiet(), sleep(clock, CLOSE_MS)]));
  return images;
}

/** Logged in, with a list of images: OpenStack's, or in place the one that the mount has shown so far. */
async function connect(
  { config, cloud, reread, mountpoint, log, supervised, stopped }: DaemonSettings,
  { cleanup, clock }: DaemonContext,
): Promise<Openstack> {
  const file =
    supervised === undefined ? undefined : new ImageFile(`${runDirOf(config, mountpoint)}/images.json`, log);
  cleanup.defer('remove the list of images', () => file?.remove());
  const kept = supervised?.turn.mount === undefined ? undefined : file?.read();
  const openstack = await connectOpenstack({ cloud, reread, config, log, clock, logIn: kept === undefined });
  cleanup.defer('close the OpenStack session', () => openstack.close());
  if (kept === undefined) {
    await openstack.catalog.refresh();
    await requireVolumeAccess(openstack, log);
    // No process would remove it any more.
    stopped?.throwIfAborted();
    file?.write(openstack.catalog.snapshot);
  }
  openstack.catalog.onChange((snapshot) => file?.write(snapshot));
  if (kept !== undefined) openstack.catalog.resume(kept);
  return openstack;
}

/** Where a supervisor holds the mount: what later engines need to know, and what earlier ones left. */
async function survival(
  { config, mountpoint, supervised }: DaemonSettings,
  { cleanup }: DaemonContext,
): Promise<Omit<Supervised, 'onRestored'> | undefined> {
  if (supervised === undefined) return undefined;
  const { turn } = supervised;
  const { generation } = turn;
  const at = (file: keyof typeof SURVIVAL_FILES): string =>
    `${runDirOf(config, mountpoint)}/${SURVIVAL_FILES[file]}`;
  const journal = await OpenJournal.open(at('openFiles'), { fresh: turn.mount === undefined });
  cleanup.defer('remove the journal of open files', () => journal.remove());
  cleanup.defer('remove what was in flight', () => removeInFlight(at('inFlight')));
  // Requests of another mount have other numbers.
  if (turn.mount === undefined) removeRequestAges(at('heldSince'));
  cleanup.defer('remove what was held', () => removeRequestAges(at('heldSince')));
  return {
    ...supervised,
    survival: { journal, generation, resend: config.resend, inFlight: at('inFlight') },
  };
}

function imageFs(
  { config, log }: DaemonSettings,
  { status, clock }: DaemonContext,
  {
    openstack,
    pool,
    gate,
    sources,
  }: Readonly<{ openstack: Openstack; pool: PoolService; gate: OpenGate; sources: SourceKinds }>,
): ImageFs {
  return createImageFs({
    catalog: openstack.catalog,
    pool: gate,
    status: () => JSON.stringify(status.report(), null, 2),
    options: {
      uid: config.uid,
      gid: config.gid,
      fileMode: config.file_mode,
      openListing: config.open_listing,
      readTimeoutMs: config.read_timeout * 1000,
      cacheBytes: shareCache(config.cache_size).blockBytes,
    },
    sources,
    onReadError: noteReadError(pool, log),
    log,
    clock,
  });
}

/** The mount that this process serves; the kernel's numbers of it, which do not change. */
async function placeOf({ mountpoint, supervised }: DaemonSettings): Promise<MountedPlace> {
  const mount = supervised?.turn.mount?.place ?? (await findMount(mountpoint));
  if (mount !== undefined) return new MountedPlace(mount);
  throw new CinderfsError('fuse_failed', `${mountpoint} was unmounted while the daemon started`, {
    path: mountpoint,
  });
}

interface ShutdownNeeds {
  readonly transport: MountedTransport;
  readonly gate: OpenGate;
  readonly place: MountedPlace;
  readonly opened: () => number;
}

function shutdownOf(
  { config, log, supervised }: DaemonSettings,
  { cleanup, clock }: DaemonContext,
  { transport, gate, place, opened }: ShutdownNeeds,
): Shutdown {
  let mounted = true;
  transport.ended.then(
    () => {
      mounted = false;
      supervised?.link.ending();
    },
    // It stands, though it cannot be served any more: it is cut off below.
    () => undefined,
  );
  // Where the start fails or no process can serve: otherwise it is gone before the rest is undone.
  cleanup.defer('unmount', async () => {
    if (!mounted || shutdown.gaveUp) return;
    await place.cutOff();
    await Promise.race([transport.ended.catch(() => undefined), sleep(clock, CUT_MS)]);
  });
  const drainMs = config.drain_timeout * 1000;
  const shutdown = new Shutdown({ transport, gate, place, opened, cleanup, drainMs, log, clock });
  return shutdown;
}
