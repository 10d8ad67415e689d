import { randomUUID } from 'node:crypto';
import { sleep, systemClock } from '../../async/clock.js';
import { CinderfsError, EXIT } from '../../errors.js';
import type { DaemonStatus, UpgradeReport } from '../../ops/status.js';
import { keepProcessAlive } from '../../async/keep-process-alive.js';
import type { ControlClient } from '../control/control-client.js';
import { wholeMount } from '../control/mount-word.js';
import { tellingWhy } from '../control/waiting.js';
import type { Verb } from '../command-line/verb.js';

const NEXT = 'the new engine, until it is loaded and everything that was open is open again';
/** The supervisor gives up long before. */
const WAIT_MS = 240_000;
const ASK_MS = 50;

/** `cinderfs upgrade DIR`: the version that is installed now takes the mount over; readers see a pause. */
export const upgrade: Verb = {
  name: 'upgrade',
  usage: 'DIR',
  summary: 'Let the installed version take over a mount that is in use',
  words: { min: 1, max: 1 },
  flags: [],
  optionGroups: ['general'],
  examples: ['cinderfs upgrade /images'],
  async run(invocation) {
    const { client, mountpoint } = await wholeMount(invocation, invocation.words[0]);
    const before = await client.get<DaemonStatus>('/status');
    const id = randomUUID();
    await client.post(`/upgrade?id=${id}`);
    const work = keepProcessAlive(() => resultOf(client, id));
    const { failed, pause_ms: pause } = await tellingWhy(invocation, () => Promise.resolve([NEXT]), work);
    if (failed !== null)
      throw new CinderfsError('upgrade_failed', `${failed}; version ${before.version} goes on`, {
        path: mountpoint,
      });
    const after = await client.get<DaemonStatus>('/status');
    invocation.stdout(`${mountpoint}: ${before.version} -> ${after.version}, readers paused ${pause} ms\n`);
    return EXIT.ok;
  },
};

/** While the mount passes from one engine to the next, no process listens. */
async function resultOf(client: ControlClient, id: string): Promise<UpgradeReport> {
  const until = systemClock.now() + WAIT_MS;
  for (;;) {
    const status = await client.get<DaemonStatus>('/status').catch((error: unknown) => {
      if (CinderfsError.is(error) && systemClock.now() < until) return undefined;
      throw error;
    });
    const report = status?.supervision?.upgrade;
    if (report?.id === id) return report;
    if (status?.supervision === null)
      throw new CinderfsError(
        'upgrade_failed',
        'the supervisor died meanwhile; the mount is served without one',
      );
    if (systemClock.now() >= until)
      throw new CinderfsError('upgrade_failed', 'the daemon does not say what became of the upgrade');
    await sleep(systemClock, ASK_MS);
  }
}
