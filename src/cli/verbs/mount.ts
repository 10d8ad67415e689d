import { mountInBackground } from '../serving/background.js';
import { settingsOf } from '../settings/settings.js';
import { supervise } from '../serving/supervise.js';
import type { Verb } from '../command-line/verb.js';

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
    const { config } = settingsOf(invocation);
    if (config.supervise && config.fuse === 'engine') return supervise(invocation);
    const { serve } = await import('../serving/serve.js');
    return serve(invocation);
  },
};
