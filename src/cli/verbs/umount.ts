import { CinderfsError, EXIT } from '../../errors.js';
import { sleep, systemClock } from '../../async/clock.js';
import { healMountpoint, isServed } from '../../fs/mount/mountpoint.js';
import { keepProcessAlive } from '../../async/keep-process-alive.js';
import { refuseLeftBehind } from '../../daemon/left-behind.js';
import type { Config } from '../../config/options.js';
import { type ControlClient, isTimeout } from '../control/control-client.js';
import { EndProgress } from '../control/end-progress.js';
import { endWithoutEngine } from '../control/end-without-engine.js';
import { wholeMount } from '../control/mount-word.js';
import { tellingWhy } from '../control/waiting.js';
import { settingsOf } from '../settings/settings.js';
import type { FlagValues, Invocation, Verb } from '../command-line/verb.js';

/** `cinderfs umount DIR`: returns when the mount is gone and nothing is attached any more. */
export const umount: Verb = {
  name: 'umount',
  usage: 'DIR',
  summary: 'Unmount, detach everything and end the daemon',
  words: { min: 1, max: 1 },
  flags: [
    {
      name: 'drain',
      value: 'SECONDS',
      bare: 'inf',
      doc: 'refuse new opens and wait until no process uses the mount; after SECONDS go on serving',
    },
    { name: 'lazy', doc: 'hide the mount at once; open files stay readable, the last close detaches' },
  ],
  optionGroups: ['general'],
  examples: ['cinderfs umount /images', 'cinderfs umount /images --drain=60'],
  async run(invocation) {
    const { config } = settingsOf(invocation);
    const { client, mountpoint } = await wholeMount(invocation, invocation.words[0]);
    const progress = new EndProgress(client, mountpoint);
    const work = keepProcessAlive(() => end(client, mountpoint, config, invocation, progress));
    await tellingWhy(invocation, () => progress.lines(), work);
    return EXIT.ok;
  },
};

/** By the daemon; where none answers, by the supervisor; where none lives, by the kernel. */
async function end(
  client: ControlClient,
  mountpoint: string,
  config: Config,
  invocation: Invocation,
  progress: EndProgress,
): Promise<void> {
  try {
    await ask(client, mountpoint, invocation);
  } catch (error) {
    if (!mayComeBack(error)) throw error;
    // A process that listens and hangs has the mount: only one that is gone leaves a dead one.
    const hung = hangs(error);
    if (!hung && (await healMountpoint(mountpoint))) {
      invocation.stderr(`cinderfs: no daemon served ${mountpoint} any more; the dead mount was removed\n`);
      refuseLeftBehind(mountpoint, config.state_dir);
      return;
    }
    if (!hung && !(await isServed(mountpoint))) throw error;
    await endWithoutEngine(config, mountpoint, invocation.flags.lazy === true, progress);
    invocation.stderr(
      `cinderfs: no engine of ${mountpoint} answered; the mount was ended without. What is attached stays ` +
        `attached until the next mount, or \`cinderfs attachments ${mountpoint} --reap\`\n`,
    );
    refuseLeftBehind(mountpoint, config.state_dir);
  }
}

/** How long an engine that died may take to be started again. */
const RESTART_MS = 30_000;
const LOOK_MS = 100;
/** Engines that may die while they are asked; then it is the asking that kills them. */
const MAX_DEATHS = 5;

/**
 * Asks the daemon, and where its engine dies meanwhile or has just died, the next one: a mount that answers through the
 * kernel is answered by a process.
 */
async function ask(
  client: ControlClient,
  mountpoint: string,
  { flags, stderr }: Pick<Invocation, 'flags' | 'stderr'>,
): Promise<void> {
  const began = systemClock.now();
  let until: number | undefined;
  let deaths = 0;
  for (;;) {
    try {
      await client.post(callOf(flags, systemClock.now() - began));
      return;
    } catch (error) {
      // No other one comes while it lives.
      if (hangs(error)) throw error;
      const now = systemClock.now();
      // One that was asked and did not answer served until a moment ago.
      if (died(error) && (deaths += 1) <= MAX_DEATHS) until = undefined;
      if (!mayComeBack(error) || now >= (until ?? Infinity) || !(await isServed(mountpoint))) throw error;
      if (until === undefined)
        stderr(
          `cinderfs: no engine answers for ${mountpoint}; waiting ${RESTART_MS / 1000} s for the next one\n`,
        );
      until ??= now + RESTART_MS;
      await sleep(systemClock, LOOK_MS);
    }
  }
}

function died(error: unknown): boolean {
  return CinderfsError.is(error) && error.code === 'no_answer';
}

function hangs(error: unknown): boolean {
  return CinderfsError.is(error) && error.code === 'no_answer' && isTimeout(error);
}

/** Not where the control socket is another user's. */
function mayComeBack(error: unknown): boolean {
  if (!CinderfsError.is(error)) return false;
  const refused = (error.cause as NodeJS.ErrnoException | undefined)?.code === 'EACCES';
  return error.code === 'no_answer' || (error.code === 'not_running' && !refused);
}

/** The call that `flags` ask for when `passed` milliseconds of the time to drain are over. */
function callOf({ drain, lazy }: FlagValues, passed: number): string {
  if (drain !== undefined && lazy === true)
    throw new CinderfsError('usage', 'umount: --drain and --lazy contradict each other');
  if (lazy === true) return '/unmount?lazy=1';
  if (typeof drain !== 'string') return '/unmount';
  // What is no number of seconds is for the daemon to refuse.
  const left = Number(drain) >= 0 ? Math.max(0, Number(drain) - passed / 1000) : drain;
  return `/unmount?drain=${encodeURIComponent(left)}`;
}
