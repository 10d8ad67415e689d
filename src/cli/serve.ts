import { startDaemon, type Daemon, type DaemonSettings } from '../daemon/daemon.js';
import { CinderfsError, EXIT } from '../errors.js';
import type { SupervisorLink, Turn } from '../supervisor/link.js';
import { reportToParent } from './background.js';
import { cloudOf, settingsOf } from './settings.js';
import type { Invocation } from './verb.js';

/** Serves a mount in this process until it is gone: on its own, or as the engine of a supervisor. */
export async function serve(invocation: Invocation, link?: SupervisorLink): Promise<number> {
  const parent = link ?? reportToParent();
  if (link !== undefined) dieOfBugs(invocation);
  try {
    const settings = settingsOf(invocation);
    const cloud = cloudOf(settings, invocation);
    // A successor whose settings are wrong says so before the old engine is stopped.
    const turn = await link?.begin();
    const daemon = await start({ ...settings, cloud, mountpoint: invocation.words[0] ?? '' }, link, turn);
    if ((turn?.generation ?? 0) === 0) invocation.stderr(`READY ${invocation.words[0] ?? ''}\n`);
    parent?.serving(daemon.handover);
    stopOnSignals(daemon);
    await daemon.ended;
    return EXIT.ok;
  } catch (thrown) {
    const error = CinderfsError.from(thrown);
    parent?.failed(error);
    throw error;
  }
}

type Start = Pick<DaemonSettings, 'config' | 'cloud' | 'mountpoint' | 'log'>;

async function start(
  { config, cloud, mountpoint, log }: Start,
  link: SupervisorLink | undefined,
  turn: Turn | undefined,
): Promise<Daemon> {
  link?.onGone(() =>
    log.warn(
      { pid: process.pid },
      'the supervisor died; this process serves on, but a crash or an upgrade now ends the mount',
    ),
  );
  const supervised = link === undefined || turn === undefined ? undefined : { link, turn };
  return startDaemon({ config, cloud, mountpoint, log, supervised });
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
