import type { AttachmentStatus, DaemonStatus } from '../../ops/status.js';
import { ControlClient } from '../control-client.js';
import { renderList } from '../output.js';
import { OUTPUT_FLAGS, outputOptions } from '../output-flags.js';
import { settingsOf } from '../settings.js';
import type { Verb } from '../verb.js';

const COLUMNS = [
  'Volume',
  'Image',
  'Name',
  'Attachment',
  'State',
  'Leases',
  'Linger Left',
  'Age',
  'Source',
  'Last Error',
];

/** `cinderfs attachments DIR`: what that daemon holds in Cinder, one attachment a row. */
export const attachments: Verb = {
  name: 'attachments',
  usage: 'DIR',
  summary: 'List the volumes a daemon has attached',
  words: { min: 1, max: 1 },
  flags: OUTPUT_FLAGS,
  optionGroups: ['general'],
  examples: ['cinderfs attachments /images', 'cinderfs attachments /images -f json'],
  async run(invocation) {
    const output = outputOptions(invocation.flags);
    const { config } = settingsOf(invocation);
    const client = ControlClient.forMountpoint(config.run_dir, invocation.words[0] ?? '');
    const report = await client.get<DaemonStatus>('/status');
    invocation.stdout(renderList(report.attachments.map(row), COLUMNS, output));
    return 0;
  },
};

function row(one: AttachmentStatus): Record<string, string | number | null> {
  return {
    Volume: one.volume_id,
    Image: one.image_id,
    Name: one.image_name,
    Attachment: one.attachment_id,
    State: one.state,
    Leases: one.leases,
    'Linger Left': one.linger_left_seconds,
    Age: one.age_seconds,
    Source: one.source,
    'Last Error': one.last_error,
  };
}
