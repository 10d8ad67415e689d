/** A supervised mount as a whole: its supervisor, what a service manager hears of it, its file in the run directory. */
import { systemClock } from '../async/clock.js';
import { reasonOf } from '../errors.js';
import type { Log } from '../log.js';
import { openFuseChannel } from './fuse-channel.js';
import type { Ending } from './engine-process.js';
import { ServiceManager } from './service-manager.js';
import type { SupervisorFile } from './supervisor-file.js';
import { Supervisor, type SupervisorParts } from './supervisor.js';
import { watchOver } from './watchdog.js';

export interface HeldMount extends Pick<
  SupervisorParts,
  'command' | 'answerer' | 'drainMs' | 'logFd' | 'onFailed'
> {
  /** Absolute. */
  readonly mountpoint: string;
  readonly settings: NonNullable<SupervisorParts['settings']>;
  /** The supervisor's file of the mount at `place`, which has no symbolic links. */
  readonly fileOf: (place: string) => SupervisorFile;
  /** Called once, when the first engine serves. */
  readonly onServing: () => void;
  readonly log: Log;
}

/** Holds a mount in this process, which takes its signals, and has engines serve it; resolves with the end of the last. */
export async function holdMount(mount: HeldMount): Promise<Ending> {
  const { mountpoint, log } = mount;
  const manager = ServiceManager.in(process.env, log);
  let file: SupervisorFile | undefined;
  const watchdog = watchOver(mountpoint, manager, () => supervisor.between);
  const channel = await openFuseChannel();
  process.on('SIGHUP', () => supervisor.passOn('SIGHUP'));
  // Before there is an engine that could be left alone.
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      manager.stopping();
      supervisor.signal(signal);
    });
  const supervisor = new Supervisor({
    ...mount,
    channel,
    // Not by the engine: one that is killed before this process has heard of it takes the mount with it.
    onReady: (place = mountpoint) => {
      file = mount.fileOf(place);
      writeIn(file, log);
      mount.onServing();
      manager.ready(mountpoint);
      watchdog?.start();
    },
    onEnding: () => manager.stopping(),
    clock: systemClock,
  });
  const ending = await supervisor.run();
  watchdog?.stop();
  file?.remove();
  return ending;
}

/** Without it nothing is worse but `cinderfs umount` of a mount that no engine serves. */
function writeIn(file: SupervisorFile, log: Log): void {
  try {
    file.write();
  } catch (error) {
    log.warn({ reason: reasonOf(error) }, 'the run directory cannot name this process');
  }
}
