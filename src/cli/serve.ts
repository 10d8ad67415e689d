import { startDaemon, type Daemon } from '../daemon/daemon.js';
import { CinderfsError, EXIT } from '../errors.js';
import { WORKERS } from '../fs/fuse/session.js';
import { WorkerThreads } from '../fs/fuse/worker-threads.js';
import type { Log } from '../log.js';
import type { SupervisorLink, Turn } from '../supervisor/link.js';
import { reportToParent } from './background.js';
import { cloudOf, settingsOf } from './settings.js';
import type { Invocation } from './verb.js';

/** Serves a mount in this process until it is gone: on its own, or as the engine of a supervisor. */
export async function serve(invocation: Invocation, link?: SupervisorLink): Promise<number> {
  const parent = link ?? reportToParent();
  if (link !== undefined) dieOfBugs(invocation);
  // First of all: they load while this thread reads the settings.
  const threads = new WorkerThreads(link === undefined ? 0 : WORKERS);
  try {
    const { config, log, ...settings } = settingsOf(invocation);
    const cloud = cloudOf({ config, ...settings }, invocation);
    // A successor whose settings are wrong says so before the old engine is stopped.
    const supervised = link === undefined ? undefined : { ...(await turnOf(link, threads, log)), threads };
    const mountpoint = invocation.words[0] ?? '';
    const daemon = await startDaemon({ config, cloud, mountpoint, log, supervised });
    if (link === undefined) invocation.stderr(`READY ${mountpoint}\n`);
    parent?.serving(daemon.handover);
    stopOnSignals(daemon);
    await daemon.ended;
    return EXIT.ok;
  } catch (thrown) {
    const error = CinderfsError.from(thrown);
    parent?.failed(error);
    // What throws in native code while its thread is being ended aborts the process: koffi, should it still be loading.
    await threads.loaded;
    throw error;
  }
}

async function turnOf(
  link: SupervisorLink,
  threads: WorkerThreads,
  log: Log,
): Promise<{ readonly link: SupervisorLink; readonly turn: Turn }> {
  const turn = await link.begin(threads.loaded);
  link.onGone(() =>
    log.warn(
      { pid: process.pid },
      'the supervisor died; this process serves on, but a crash or an upgrade now ends the mount',
    ),
  );
  return { link, turn };
}

/**
 * An engine ends of what nobody caught by a signal: its exit would wait for threads that wait for requests, and its
 * supervisor would not know.
 */
function dieOfBugs({ stderr }: Invocation): void {
  process.once('uncaughtException', (error) => {
    stderr(`cinderfs: ${error.stack ?? error.message}\n`);
    process.kill(process.pid, 'SIGKILL');
  });
}

/** The first SIGTERM or SIGINT drains; the second no longer waits for open files. */
function stopOnSignals(daemon: Daemon): void {
  let signals = 0;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      signals += 1;
      if (signals > 1) daemon.hurry();
      // A failure shows in daemon.ended, which the verb awaits.
      daemon.stop(signal).catch(() => undefined);
    });
  }
}
