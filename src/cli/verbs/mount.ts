import { startDaemon, type Daemon } from '../../daemon/daemon.js';
import { CinderfsError, EXIT } from '../../errors.js';
import { mountInBackground, reportToParent } from '../background.js';
import { cloudOf, settingsOf } from '../settings.js';
import type { Invocation, Verb } from '../verb.js';

/** `cinderfs mount DIR`: serves until the mount is gone. */
export const mount: Verb = {
  name: 'mount',
  usage: 'DIR',
  summary: 'Serve every Cinder-backed image as a read-only file under DIR',
  words: { min: 1, max: 1 },
  flags: [
    { name: 'background', doc: 'return once the mount serves, or with the exit status of the failure' },
  ],
  optionGroups: ['general', 'openstack', 'api', 'attach', 'files', 'reading'],
  examples: ['cinderfs mount /images --os-cloud prod', 'cinderfs mount /images --background --linger 5m'],
  async run(invocation) {
    if (invocation.flags.background === true) return mountInBackground(invocation);
    return serve(invocation);
  },
};

async function serve(invocation: Invocation): Promise<number> {
  const parent = reportToParent();
  try {
    const daemon = await start(invocation);
    const mountpoint = invocation.words[0] ?? '';
    invocation.stderr(`READY ${mountpoint}\n`);
    parent?.ready();
    stopOnSignals(daemon);
    await daemon.ended;
    return EXIT.ok;
  } catch (thrown) {
    const error = CinderfsError.from(thrown);
    parent?.failed(error);
    throw error;
  }
}

async function start(invocation: Invocation): Promise<Daemon> {
  const settings = settingsOf(invocation);
  const { config, log } = settings;
  const cloud = cloudOf(settings, invocation);
  return startDaemon({ config, cloud, mountpoint: invocation.words[0] ?? '', log });
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
