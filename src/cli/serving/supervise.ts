import { systemClock } from '../../async/clock.js';
import { runDirOf } from '../../daemon/run-dir.js';
import { CinderfsError, EXIT, reasonOf } from '../../errors.js';
import { trustedMountpoint } from '../../fs/mount/mountpoint.js';
import type { Log } from '../../log.js';
import { openFuseChannel } from '../../supervisor/fuse-channel.js';
import type { Ending } from '../../supervisor/engine-process.js';
import { ServiceManager } from '../../supervisor/service-manager.js';
import { SupervisorFile } from '../../supervisor/supervisor-file.js';
import { Supervisor } from '../../supervisor/supervisor.js';
import { watchOver } from '../../supervisor/watchdog.js';
import { keepHeapTrimmed } from '../../sys/calls/heap-trim.js';
import { reportToParent } from './background.js';
import { closeInherited } from '../process/detach-from-shell.js';
import { dropPrivileges } from '../process/drop-privileges.js';
import { certificateFiles, keepSettings, withoutSecrets } from '../settings/kept-settings.js';
import { logFor } from '../settings/settings.js';
import { shellSettings, type ShellSettings } from '../settings/shell-settings.js';
import type { Invocation } from '../command-line/verb.js';

/** Holds the mount in this process and has it served by engines of its own; the exit status of the last. */
export async function supervise(invocation: Invocation): Promise<number> {
  closeInherited();
  const parent = reportToParent();
  // A copy: shellSettings() takes out of the environment what is for the settings alone.
  const asked = { ...invocation, env: { ...invocation.env } };
  try {
    return await hold(asked, shellSettings(asked), parent);
  } catch (thrown) {
    parent?.failed(CinderfsError.from(thrown));
    throw thrown;
  }
}

async function hold(
  invocation: Invocation,
  settings: ShellSettings,
  parent: ReturnType<typeof reportToParent>,
): Promise<number> {
  const { config } = settings.loaded;
  const mountpoint = await trustedMountpoint(settings.mountpoint);
  const log = logFor(settings.loaded);
  const [launcher = ''] = process.argv.slice(1);
  const [typed = ''] = invocation.words;
  dropPrivileges(config, log);
  const kept = keepSettings(invocation, settings);
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
    command: [launcher, 'engine', mountpoint],
    answerer: [launcher, 'answerer', mountpoint],
    settings: { engine: kept, answerer: withoutSecrets(kept) },
    channel,
    drainMs: config.drain_timeout * 1000,
    // Not by the engine: one that is killed before this process has heard of it takes the mount with it.
    onReady: (place = mountpoint) => {
      const runDir = runDirOf(config, place);
      file = new SupervisorFile(runDir, certificateFiles(runDir));
      writeIn(file, log);
      invocation.stderr(`READY ${typed}\n`);
      parent?.serving();
      manager.ready(mountpoint);
      watchdog?.start();
      keepHeapTrimmed(systemClock);
    },
    onEnding: () => manager.stopping(),
    onFailed: (exit, line) => parent?.failedAs(exit, line),
    log,
    clock: systemClock,
  });
  const ending = await supervisor.run();
  watchdog?.stop();
  file?.remove();
  return statusOf(ending);
}

/** Without it nothing is worse but `cinderfs umount` of a mount that no engine serves. */
function writeIn(file: SupervisorFile, log: Log): void {
  try {
    file.write();
  } catch (error) {
    log.warn({ reason: reasonOf(error) }, 'the run directory cannot name this process');
  }
}

/** An engine that a signal ended, ended us. */
function statusOf({ status, signal }: Ending): number {
  if (status !== null) return status;
  if (signal === null) return EXIT.internal;
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  return EXIT.internal;
}
