import { startDaemon, type Daemon } from '../../daemon/daemon.js';
import { systemClock } from '../../async/clock.js';
import { CinderfsError, EXIT } from '../../errors.js';
import { engineThreads, type WorkerThreads } from '../../daemon/engine-threads.js';
import type { Log } from '../../log.js';
import { keepHeapTrimmed } from '../../sys/calls/heap-trim.js';
import type { SupervisorLink, EngineAssignment } from '../../supervisor/link.js';
import { reportToParent } from './background.js';
import { foregroundLog } from './foreground-log.js';
import { closeInherited } from '../process/detach-from-shell.js';
import { hideMemory } from '../process/drop-privileges.js';
import { engineSettings, type KeptSettings } from '../settings/kept-settings.js';
import { logFor } from '../settings/settings.js';
import { shellSettings, type ShellSettings } from '../settings/shell-settings.js';
import type { Invocation } from '../command-line/verb.js';

/** Serves a mount in this process until it is gone: on its own, or as the engine of a supervisor. */
export async function serve(invocation: Invocation, link?: SupervisorLink): Promise<number> {
  // Before anything that a signal could leave half done.
  const stops = new StopSignals(() => link?.stopping());
  const reloads = new Reloads();
  const parent = link ?? reportToParent();
  if (link === undefined) closeInherited();
  else crashOnUncaught(invocation);
  // First of all: they load while this thread reads the settings.
  const threads = engineThreads(link !== undefined);
  try {
    const told = link === undefined ? shellSettings(invocation) : await toldBy(link, invocation);
    const { loaded, cloud, mountpoint, reread } = told;
    const { config } = loaded;
    const log = logFor(loaded, link === undefined ? await foregroundLog(loaded) : undefined);
    hideMemory(log);
    // A successor whose settings are wrong says so before the old engine is stopped.
    const supervised = link === undefined ? undefined : { ...(await turnOf(link, threads, log)), threads };
    const daemon = await startDaemon({
      config,
      cloud,
      reread,
      mountpoint,
      log,
      supervised,
      stopped: stops.first,
    });
    if (link === undefined) invocation.stderr(`READY ${invocation.words[0] ?? ''}\n`);
    parent?.serving(daemon.handover);
    keepHeapTrimmed(systemClock);
    stops.passTo(daemon);
    reloads.passTo(daemon);
    await daemon.ended;
    // The kernel ends the connection when no process has it open any more, and threads of this one wait for it.
    if (daemon.gaveUp()) link?.ending();
    if (daemon.gaveUp()) process.kill(process.pid, 'SIGKILL');
    return EXIT.ok;
  } catch (thrown) {
    const error = CinderfsError.from(thrown);
    parent?.failed(error);
    // What throws in native code while its thread is being ended aborts the process: koffi, should it still be loading.
    await threads.loaded;
    throw error;
  }
}

/** What the supervisor has kept; the mount point of an engine's command line is absolute. */
async function toldBy(
  link: SupervisorLink,
  { words: [mountpoint = ''] }: Invocation,
): Promise<Omit<ShellSettings, 'directory'>> {
  return { ...engineSettings((await link.settings()) as KeptSettings, mountpoint), mountpoint };
}

async function turnOf(
  link: SupervisorLink,
  threads: WorkerThreads,
  log: Log,
): Promise<{ readonly link: SupervisorLink; readonly turn: EngineAssignment }> {
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
 * An engine with an uncaught error ends by a signal: its exit would wait for threads that wait for requests, and its
 * supervisor would not know.
 */
function crashOnUncaught({ stderr }: Invocation): void {
  process.once('uncaughtException', (error) => {
    stderr(`cinderfs: ${error.stack ?? error.message}\n`);
    process.kill(process.pid, 'SIGKILL');
  });
}

/**
 * SIGHUP reads the credentials again; before there is a daemon they are new anyway. A terminal that goes away is no
 * reason to end a mount.
 */
class Reloads {
  #daemon: Daemon | undefined;

  constructor() {
    process.on('SIGHUP', () => this.#daemon?.reload());
  }

  passTo(daemon: Daemon): void {
    this.#daemon = daemon;
  }
}

/** The first SIGTERM or SIGINT ends the start, or drains; the second no longer waits for open files. */
class StopSignals {
  /** Aborted by the first; its reason is what the start of the mount ends with. */
  readonly first: AbortSignal;
  readonly #first = new AbortController();
  readonly #onSignal: () => void;
  #count = 0;
  #daemon: Daemon | undefined;

  /** `onSignal` is called at each. */
  constructor(onSignal: () => void) {
    this.#onSignal = onSignal;
    this.first = this.#first.signal;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#hear(signal));
  }

  passTo(daemon: Daemon): void {
    this.#daemon = daemon;
    if (this.#count > 0) this.#stop('a signal during the start');
  }

  #hear(signal: NodeJS.Signals): void {
    this.#count += 1;
    this.#onSignal();
    this.#first.abort(new CinderfsError('interrupted', `stopped by ${signal} before the mount was served`));
    this.#stop(signal);
  }

  #stop(why: string): void {
    if (this.#count > 1) this.#daemon?.hurry();
    // A failure shows in daemon.ended, which the verb awaits.
    this.#daemon?.stop(why).catch(() => undefined);
  }
}
