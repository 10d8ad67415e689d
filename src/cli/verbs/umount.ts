import { CinderfsError, EXIT } from '../../errors.js';
import { healMountpoint } from '../../fs/mountpoint.js';
import { ControlClient } from '../control-client.js';
import { settingsOf } from '../settings.js';
import type { FlagValues, Verb } from '../verb.js';

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
      doc: 'refuse new opens and wait until nobody holds the mount; after SECONDS serve on',
    },
    { name: 'lazy', doc: 'hide the mount at once; who has a file open reads on, the last close detaches' },
  ],
  optionGroups: ['general'],
  examples: ['cinderfs umount /images', 'cinderfs umount /images --drain=60'],
  async run(invocation) {
    const { config } = settingsOf(invocation);
    const [mountpoint = ''] = invocation.words;
    try {
      await ControlClient.forMountpoint(config.run_dir, mountpoint).post(callOf(invocation.flags));
    } catch (error) {
      if (!CinderfsError.is(error) || error.code !== 'not_running') throw error;
      if (!(await healMountpoint(mountpoint))) throw error;
      invocation.stderr(`cinderfs: no daemon served ${mountpoint} any more; the dead mount was removed\n`);
    }
    return EXIT.ok;
  },
};

function callOf({ drain, lazy }: FlagValues): string {
  if (drain !== undefined && lazy === true)
    throw new CinderfsError('usage', 'umount: --drain and --lazy contradict each other');
  if (lazy === true) return '/unmount?lazy=1';
  return typeof drain === 'string' ? `/unmount?drain=${encodeURIComponent(drain)}` : '/unmount';
}
