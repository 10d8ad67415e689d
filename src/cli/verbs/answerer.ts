import { SupervisorLink } from '../../supervisor/link.js';
import type { Verb } from '../command-line/verb.js';
import { mount } from './mount.js';

/** `cinderfs answerer DIR`: what the supervisor starts while no engine serves. Not in VERBS: it is not for people. */
export const answerer: Verb = {
  ...mount,
  name: 'answerer',
  summary: 'Answer for a mount that no engine serves',
  examples: [],
  async run() {
    const { runFallback } = await import('../serving/stand-in.js');
    return runFallback(SupervisorLink.connect());
  },
};
