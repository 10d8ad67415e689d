import { Cleanup } from '../async/cleanup.js';
import { systemClock } from '../async/clock.js';
import { CinderfsError, reasonOf } from '../errors.js';
import { prepareMountpoint } from '../fs/mount/mountpoint.js';
import { controlSocketPath } from '../ops/control-socket.js';
import { attachmentCalls } from './control-calls.js';
import type { SupervisorLink } from '../supervisor/link.js';
import { assemble, type Assembled } from './assemble.js';
import { Control } from './control.js';
import type { DaemonHandover } from './handover.js';
import type { DaemonSettings } from './settings.js';
import { StatusReporter } from './status.js';
import { explainBusy } from './unreached.js';
import { unmountBy } from './unmount-call.js';

/** A serving mount. */
export interface Daemon {
  /** Settles when the mount is gone and nothing is attached any more; rejects with what had to be left behind. */
  readonly ended: Promise<void>;
  /** Where it can be handed over to another engine. */
  readonly handover: DaemonHandover;
  /** Refuses new opens, waits for open files as long as configured, unmounts, detaches; settles like `ended`. */
  stop(why: string): Promise<void>;
  /** No longer waits for open files. */
  hurry(): void;
  /** Reads the credentials again and logs in with them. */
  reload(): void;
  /** See Shutdown. */
  gaveUp(): boolean;
}

const clock = systemClock;

/**
 * Starts the layers; see assemble(). Whatever fails, what was started before it is undone, in reverse. Resolves when
 * the mount has answered a stat through the kernel.
 */
export async function startDaemon(settings: DaemonSettings): Promise<Daemon> {
  const { supervised, config, log } = settings;
  const mountpoint =
    supervised?.turn.mount?.mountpoint ??
    (await prepareMountpoint(settings.mountpoint, log).catch((error: unknown) => {
      throw explainBusy(error, config.run_dir);
    }));
  const cleanup = new Cleanup();
  let serving: Assembled | undefined;
  const started = (): Assembled => {
    if (serving !== undefined) return serving;
    throw new CinderfsError('not_running', 'the daemon is still starting');
  };
  const status = new StatusReporter({
    mountpoint,
    fuse: config.fuse,
    cloud: settings.cloud.name,
    clock,
    supervision: () => supervised?.link.supervision,
  });
  // It listens before everything else and is closed after it: a second daemon for this mount point is refused here,
  // and `cinderfs umount` gets its answer once nothing is attached any more.
  const control = new Control(controlSocketPath(config.run_dir, mountpoint), {
    'GET /status': () => status.report(),
    'POST /unmount': async (query) => {
      await unmountBy(started().shutdown, query);
      return { unmounted: mountpoint };
    },
    'GET /waits': async () => ({ waits_for: await started().shutdown.waitsFor() }),
    'POST /upgrade': (query) => {
      requireSupervisor(settings).upgrade(query.get('id') ?? '');
      return { upgrading: mountpoint };
    },
    ...attachmentCalls(() => started().calls),
  });
  await control.open().catch((error: unknown) => {
    // Readers of the mount need an engine more than operators need its control socket.
    if (supervised?.turn.mount === undefined) throw error;
    log.error({ reason: CinderfsError.from(error).toLine() }, 'serving without a control socket');
  });
  try {
    serving = await assemble({ ...settings, mountpoint }, { cleanup, status, control, clock });
    const { shutdown, handover, reload } = serving;
    return {
      ended: shutdown.finished.finally(() => control.close()),
      handover,
      stop: (why) => shutdown.stop(why),
      hurry: () => shutdown.hurry(),
      reload,
      gaveUp: () => shutdown.gaveUp,
    };
  } catch (error) {
    // The mount that stands stays, and what is attached for it: the next engine needs both.
    if (supervised?.turn.mount !== undefined) throw error;
    for (const failure of await cleanup.run()) {
      log.error({ reason: reasonOf(failure.error) }, `could not ${failure.what}`);
    }
    await control.close();
    throw error;
  }
}

function requireSupervisor({ supervised }: DaemonSettings): SupervisorLink {
  if (supervised?.link.supervision !== undefined) return supervised.link;
  throw new CinderfsError('unsupported', 'this mount has no supervisor that could hold it meanwhile', {
    remedy: 'Mount with --supervise and --fuse=engine; for now, unmount and mount again.',
  });
}
