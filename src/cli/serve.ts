import { startDaemon, type Daemon } from '../daemon/daemon.js';
import { CinderfsError, EXIT } from '../errors.js';
import type { SupervisorLink } from '../supervisor/link.js';
import { reportToParent } from './background.js';
import { cloudOf, settingsOf } from './settings.js';
import type { Invocation } from './verb.js';

/** Serves a mount in this process until it is gone: on its own, or as the engine of a supervisor. */
export async function serve(invocation: Invocation, link?: SupervisorLink): Promise<number> {
  const parent = link ?? reportToParent();
  try {
    const turn = await link?.begin();
    const daemon = await start(invocation, link, turn);
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

async function start(
  invocation: Invocation,
  link: SupervisorLink | undefined,
  turn: Awaited<ReturnType<SupervisorLink['begin']>> | undefined,
): Promise<Daemon> {
  const settings = settingsOf(invocation);
  const { config, log } = settings;
  const cloud = cloudOf(settings, invocation);
  const supervised = link === undefined || turn === undefined ? undefined : { link, turn };
  return startDaemon({ config, cloud, mountpoint: invocation.words[0] ?? '', log, supervised });
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
