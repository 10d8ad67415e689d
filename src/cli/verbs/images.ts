import { cloudOf, settingsOf } from '../settings/settings.js';
import { renderList } from '../output/output.js';
import { OUTPUT_FLAGS, outputOptions } from '../output/output-flags.js';
import type { Verb } from '../command-line/verb.js';

const COLUMNS = ['ID', 'Name', 'Disk Format', 'Size', 'Volume', 'Multiattach', 'Updated At'];

/** `cinderfs images`: what a mount with these settings would show. Needs no running daemon. */
export const images: Verb = {
  name: 'images',
  usage: '',
  summary: 'List the images a mount would show',
  words: { min: 0, max: 0 },
  flags: OUTPUT_FLAGS,
  optionGroups: ['general', 'openstack', 'api'],
  examples: ['cinderfs images --os-cloud prod', 'cinderfs images -f value -c ID -c Name'],
  async run(invocation) {
    const output = outputOptions(invocation.flags);
    const settings = settingsOf(invocation);
    // Not at the top: a supervisor must not carry what it never uses.
    const { listImages } = await import('../../daemon/list-images.js');
    const images = await listImages({ ...settings, cloud: cloudOf(settings, invocation) });
    const rows = images.map((image) => ({
      ID: image.id,
      Name: image.name,
      'Disk Format': image.diskFormat,
      Size: image.size,
      Volume: image.volumeId,
      Multiattach: image.multiattach,
      'Updated At': image.updatedAt.toISOString(),
    }));
    invocation.stdout(renderList(rows, COLUMNS, output));
    return 0;
  },
};
