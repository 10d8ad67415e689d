import { systemClock } from '../async/clock.js';
import { EXIT } from '../errors.js';
import { openFuseChannel } from '../supervisor/fuse-channel.js';
import type { Ending } from '../supervisor/engine-process.js';
import { ServiceManager } from '../supervisor/service-manager.js';
import { Supervisor } from '../supervisor/supervisor.js';
import { watchOver } from '../supervisor/watchdog.js';
import { reportToParent } from './background.js';
import { settingsOf } from './settings.js';
import type { Invocation } from './verb.js';

/** Holds the mount in this process and has it served by engines of its own; the exit status of the last. */
export async function supervise(invocation: Invocation): Promise<number> {
  const parent = reportToParent();
  const { log } = settingsOf(invocation);
  const [launcher = '', , ...args] = process.argv.slice(1);
  const [mountpoint = ''] = invocation.words;
  const manager = ServiceManager.in(process.env, log);
  const watchdog = watchOver(mountpoint, manager, () => supervisor.between);
  const supervisor = new Supervisor({
    command: [launcher, 'engine', ...args],
    answerer: [launcher, 'answerer', ...args],
    channel: await openFuseChannel(),
    // Not by the engine: one that is killed before this process has heard of it takes the mount with it.
    onReady: () => {
      invocation.stderr(`READY ${mountpoint}\n`);
      parent?.serving();
      manager.ready(mountpoint);
      watchdog?.start();
    },
    onEnding: () => manager.stopping(),
    onFailed: (exit, line) => parent?.failedAs(exit, line),
    log,
    clock: systemClock,
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      manager.stopping();
      supervisor.signal(signal);
    });
  const ending = await supervisor.run();
  watchdog?.stop();
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
