import { SupervisorLink } from '../../supervisor/link.js';
import type { Verb } from '../command-line/verb.js';
import { mount } from './mount.js';

/** `cinderfs engine DIR`: what the supervisor starts, with the options of its own command line. Not in VERBS: it is not for people. */
export const engine: Verb = {
  ...mount,
  name: 'engine',
  summary: 'Serve a mount that a supervisor holds',
  examples: [],
  async run(invocation) {
    const { serve } = await import('../serving/serve.js');
    return serve(invocation, SupervisorLink.connect());
  },
};
