import { CinderfsError } from '../../errors.js';
import { ControlClient } from '../control/control-client.js';
import { mountWith } from '../control/mount-word.js';
import { renderOne } from '../output/output.js';
import { OUTPUT_FLAGS, outputOptions } from '../output/output-flags.js';
import { runningDaemons } from '../control/running-daemons.js';
import { settingsOf } from '../settings/settings.js';
import type { Invocation, Verb } from '../command-line/verb.js';

/** `cinderfs release IMAGE [DIR]`, or the path of its file: returns when the volume of that image is detached; refuses while a process has it open. */
export const release: Verb = {
  name: 'release',
  usage: 'IMAGE|FILE [DIR]',
  summary: 'Detach the volume of an image now instead of after the linger',
  words: { min: 1, max: 2 },
  flags: OUTPUT_FLAGS,
  optionGroups: ['general'],
  examples: [
    'cinderfs release debian-13',
    'cinderfs release /images/by-name/debian-13',
    'cinderfs release 6f1c9d6e-... /images -f json',
  ],
  async run(invocation) {
    const output = outputOptions(invocation.flags);
    const { client, image } = await meant(invocation);
    const query = new URLSearchParams({ image });
    const answer = await client.post<{ image: string; detached: boolean }>(`/release?${query.toString()}`);
    invocation.stdout(renderOne({ image: answer.image, detached: answer.detached }, output));
    return 0;
  },
};

/** A path in a mount names the mount as well; an image alone does where one daemon runs. */
async function meant(
  invocation: Invocation,
): Promise<{ readonly client: ControlClient; readonly image: string }> {
  const [image = '', directory] = invocation.words;
  const file = await mountWith(invocation, image === '' ? '/' : image);
  if (directory === undefined) {
    if (file.inside !== '') return { client: file.client, image: file.inside };
    return { client: await onlyDaemon(settingsOf(invocation).config.run_dir), image };
  }
  const mount = await mountWith(invocation, directory);
  const inIt = file.inside !== '' && file.mountpoint === mount.mountpoint;
  return { client: mount.client, image: inIt ? file.inside : image };
}

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
