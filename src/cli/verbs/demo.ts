import type { Verb } from '../verb.js';

/** `cinderfs demo`: the main job on an embedded cloud, step by step. */
export const demo: Verb = {
  name: 'demo',
  usage: '',
  summary: 'Show the main job on an embedded cloud; needs no OpenStack',
  words: { min: 0, max: 0 },
  flags: [{ name: 'keep', doc: 'leave the mount and the cloud up until Ctrl-C' }],
  optionGroups: [],
  examples: ['cinderfs demo', 'cinderfs demo --keep'],
  async run(invocation) {
    const { runDemo } = await import('../demo/tour.js');
    return runDemo({ keep: invocation.flags.keep === true, say: invocation.stdout });
  },
};
