import { CinderfsError, EXIT } from '../../errors.js';
import { healMountpoint } from '../../fs/mountpoint.js';
import { ControlClient } from '../control-client.js';
import { settingsOf } from '../settings.js';
import type { Verb } from '../verb.js';

/** `cinderfs umount DIR`: returns when the mount is gone and nothing is attached any more. */
export const umount: Verb = {
  name: 'umount',
  usage: 'DIR',
  summary: 'Unmount, detach everything and end the daemon',
  words: { min: 1, max: 1 },
  flags: [],
  optionGroups: ['general'],
  examples: ['cinderfs umount /images'],
  async run(invocation) {
    const { config } = settingsOf(invocation);
    const [mountpoint = ''] = invocation.words;
    try {
      await ControlClient.forMountpoint(config.run_dir, mountpoint).post('/unmount');
    } catch (error) {
      if (!CinderfsError.is(error) || error.code !== 'not_running') throw error;
      if (!(await healMountpoint(mountpoint))) throw error;
      invocation.stderr(`cinderfs: no daemon served ${mountpoint} any more; the dead mount was removed\n`);
    }
    return EXIT.ok;
  },
};
