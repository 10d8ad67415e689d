import type { Clock } from '../async/clock.js';
import { withDeadline } from '../async/deadline.js';
import { CinderfsError } from '../errors.js';
import type { Filesystem } from '../fs/contract/filesystem.js';
import { prepare } from '../fs/fuse/engine.js';
import type { TakeoverState } from '../fs/fuse/recovery/takeover-state.js';
import type { WorkerThreads } from '../fs/fuse/pool/worker-threads.js';
import { unmount } from '../fs/mount/mountpoint.js';
import type { MountedTransport, TransportOptions } from '../fs/contract/transport.js';
import type { ExistingMount, SupervisorLink, EngineAssignment } from '../supervisor/link.js';

/** How this engine is supervised, and what was open before it. */
export interface Supervised {
  readonly link: SupervisorLink;
  readonly turn: EngineAssignment;
  readonly survival: TakeoverState;
  readonly threads: WorkerThreads;
  /** Called when everything that an earlier engine had open is open again, or cannot be opened. */
  readonly onRestored: () => void;
}

/**
 * A file that takes longer to open again (its volume must be attached anew) does not delay the others; a reader of it
 * waits for it alone.
 */
const REBUILD_MS = 5_000;

/** Serves a mount whose descriptor a supervisor holds: a new one, or one that an earlier engine served. */
export async function mountSupervised(
  filesystem: Filesystem,
  options: TransportOptions,
  supervised: Supervised,
  clock: Clock,
): Promise<MountedTransport> {
  const { mount } = supervised.turn;
  return mount === undefined
    ? mountAnew(filesystem, options, supervised)
    : takeOver(filesystem, options, supervised, mount, clock);
}

async function mountAnew(
  filesystem: Filesystem,
  options: TransportOptions,
  { link, survival, threads }: Supervised,
): Promise<MountedTransport> {
  const { mountpoint, fsname, allowOther } = options;
  const fuseFd = await link.mount({ mountpoint, fsname, allowOther });
  try {
    const prepared = prepare(filesystem, options, { fuseFd, survival, threads });
    link.agreed(mountpoint, prepared);
    const transport = prepared.start();
    await prepared.raiseReadAhead();
    return transport;
  } catch (error) {
    await unmount(mountpoint, { lazy: true });
    throw error;
  }
}

async function takeOver(
  filesystem: Filesystem,
  options: TransportOptions,
  { link, survival, threads, onRestored }: Supervised,
  { fuseFd, agreement }: ExistingMount,
  clock: Clock,
): Promise<MountedTransport> {
  const prepared = prepare(filesystem, options, { fuseFd, agreement, survival, threads });
  const rebuilt = prepared.rebuild().finally(onRestored);
  await withDeadline(rebuilt, {
    clock,
    ms: REBUILD_MS,
    onTimeout: () => new CinderfsError('attach_timeout', 'an open file is not open again yet'),
  }).catch((error: unknown) => options.log.warn({ error }, 'serving before every open file is open again'));
  await link.recovered();
  return prepared.start();
}
