import { CinderfsError } from '../../errors.js';
import { ControlClient } from '../control-client.js';
import { renderOne } from '../output.js';
import { OUTPUT_FLAGS, outputOptions } from '../output-flags.js';
import { runningDaemons } from '../running-daemons.js';
import { settingsOf } from '../settings.js';
import type { Verb } from '../verb.js';

/** `cinderfs release IMAGE [DIR]`: returns when the volume of that image is detached; refuses while somebody reads it. */
export const release: Verb = {
  name: 'release',
  usage: 'IMAGE [DIR]',
  summary: 'Detach the volume of an image now instead of after the linger',
  words: { min: 1, max: 2 },
  flags: OUTPUT_FLAGS,
  optionGroups: ['general'],
  examples: ['cinderfs release debian-13', 'cinderfs release 6f1c9d6e-... /images -f json'],
  async run(invocation) {
    const output = outputOptions(invocation.flags);
    const { config } = settingsOf(invocation);
    const [image = '', mountpoint] = invocation.words;
    const client =
      mountpoint === undefined
        ? await onlyDaemon(config.run_dir)
        : ControlClient.forMountpoint(config.run_dir, mountpoint);
    const query = new URLSearchParams({ image });
    const answer = await client.post<{ image: string; detached: boolean }>(`/release?${query.toString()}`);
    invocation.stdout(renderOne({ image: answer.image, detached: answer.detached }, output));
    return 0;
  },
};

/** The daemon of this host, when there is no doubt which. */
async function onlyDaemon(runDir: string): Promise<ControlClient> {
  const running = await runningDaemons(runDir);
  const [first] = running;
  if (first === undefined) throw new CinderfsError('not_running', 'no cinderfs daemon runs here');
  if (running.length > 1)
    throw new CinderfsError('usage', `${running.length} daemons run here`, {
      remedy: `Name the mount, one of ${running.map(({ mountpoint }) => mountpoint).join(', ')}.`,
    });
  return ControlClient.forMountpoint(runDir, first.mountpoint);
}
