import { systemClock } from '../../async/clock.js';
import { runDirOf } from '../../daemon/run-dir.js';
import { CinderfsError, EXIT } from '../../errors.js';
import { trustedMountpoint } from '../../fs/mount/mountpoint.js';
import type { Ending } from '../../supervisor/engine-process.js';
import { holdMount } from '../../supervisor/hold-mount.js';
import { SupervisorFile } from '../../supervisor/supervisor-file.js';
import { keepHeapTrimmed } from '../../sys/calls/heap-trim.js';
import { reportToParent } from './background.js';
import { foregroundLog } from './foreground-log.js';
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
    const settings = shellSettings(asked);
    return await hold(asked, settings, parent);
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
  const logFd = await foregroundLog(settings.loaded);
  const log = logFor(settings.loaded, logFd);
  const [launcher = ''] = process.argv.slice(1);
  const [typed = ''] = invocation.words;
  dropPrivileges(config, log);
  const kept = keepSettings(invocation, settings);
  const ending = await holdMount({
    mountpoint,
    command: [launcher, 'engine', mountpoint],
    answerer: [launcher, 'answerer', mountpoint],
    settings: { engine: kept, answerer: withoutSecrets(kept) },
    drainMs: config.drain_timeout * 1000,
    logFd,
    fileOf: (place) => {
      const runDir = runDirOf(config, place);
      return new SupervisorFile(runDir, certificateFiles(runDir));
    },
    onServing: () => {
      invocation.stderr(`READY ${typed}\n`);
      parent?.serving();
      keepHeapTrimmed(systemClock);
    },
    onFailed: (exit, line) => {
      // What the engine says of it is in its log.
      if (logFd !== undefined) invocation.stderr(`cinderfs: ${line}\n`);
      parent?.failedAs(exit, line);
    },
    log,
  });
  return statusOf(ending);
}

/** An engine that a signal ended, ended us. */
function statusOf({ status, signal }: Ending): number {
  if (status !== null) return status;
  if (signal === null) return EXIT.internal;
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  return EXIT.internal;
}
