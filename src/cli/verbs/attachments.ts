import { systemClock } from '../../async/clock.js';
import type { Leftover } from '../../attach/contract/leftovers.js';
import { CinderfsError } from '../../errors.js';
import { isMountOfOurs } from '../../fs/mount/our-mounts.js';
import { findMount } from '../../sys/mounts/mount-table.js';
import { isDead } from '../../fs/mount/mountpoint.js';
import type { AttachmentStatus, DaemonStatus } from '../../ops/status.js';
import { mountWith, type NamedMount } from '../control/mount-word.js';
import { renderList, type Row } from '../output/output.js';
import { OUTPUT_FLAGS, outputOptions } from '../output/output-flags.js';
import { cloudOf, settingsOf } from '../settings/settings.js';
import type { Invocation, Verb } from '../command-line/verb.js';

const COLUMNS = [
  'Volume',
  'Image',
  'Name',
  'Clone',
  'Attachment',
  'State',
  'Leases',
  'Linger Left',
  'Age',
  'Source',
  'Last Error',
];

const REAP_COLUMNS = ['What', 'Volume', 'Attachment', 'Owner', 'Deleted'];

/** `cinderfs attachments DIR`: the attachments of that daemon, or with `--reap` the removal of those without an owner. */
export const attachments: Verb = {
  name: 'attachments',
  usage: 'DIR|FILE',
  summary: 'List the volumes a daemon has attached, or settle leftovers',
  words: { min: 1, max: 1 },
  flags: [
    ...OUTPUT_FLAGS,
    { name: 'reap', doc: 'remove from Cinder what this mount, running or not, lost track of' },
    { name: 'dry-run', doc: 'with --reap: only show what would be removed' },
    {
      name: 'dead-host',
      value: 'HOST',
      doc: 'with --reap: remove what cinderfs on HOST left; only when HOST will not come back',
    },
  ],
  optionGroups: ['general', 'openstack', 'api', 'attach'],
  examples: [
    'cinderfs attachments /images',
    'cinderfs attachments /images -f json',
    'cinderfs attachments /images --reap --dry-run',
    'cinderfs attachments /images --reap --dead-host compute-7',
  ],
  async run(invocation) {
    const output = outputOptions(invocation.flags);
    const reap = reapOptions(invocation);
    const mount = await mountWith(invocation, invocation.words[0]);
    if (reap === undefined) {
      const report = await mount.client.get<DaemonStatus>('/status');
      invocation.stdout(renderList(report.attachments.map(row), COLUMNS, output));
    } else {
      const leftovers = await settle(mount, invocation, reap);
      invocation.stdout(renderList(leftovers.map(leftoverRow), REAP_COLUMNS, output));
    }
    return 0;
  },
};

interface ReapFlags {
  readonly dryRun: boolean;
  readonly deadHost: string | undefined;
}

function reapOptions({ flags }: Invocation): ReapFlags | undefined {
  const deadHost = typeof flags['dead-host'] === 'string' ? flags['dead-host'] : undefined;
  const dryRun = flags['dry-run'] === true;
  if (flags.reap === true) return { dryRun, deadHost };
  if (dryRun || deadHost !== undefined)
    throw new CinderfsError('usage', '--dry-run and --dead-host go with --reap');
  return undefined;
}

/** The daemon knows what is in use; only where none runs its state directory is taken over for a moment. */
async function settle(
  { client, mountpoint }: NamedMount,
  invocation: Invocation,
  { dryRun, deadHost }: ReapFlags,
): Promise<readonly Leftover[]> {
  const query = new URLSearchParams({ dry_run: String(dryRun) });
  if (deadHost !== undefined) query.set('dead_host', deadHost);
  try {
    return await client.post<readonly Leftover[]>(`/reap?${query.toString()}`);
  } catch (error) {
    if (!CinderfsError.is(error) || error.code !== 'not_running') throw error;
    return settleWithoutDaemon(mountpoint, invocation, { dryRun, deadHost });
  }
}

async function settleWithoutDaemon(
  mountpoint: string,
  invocation: Invocation,
  reap: ReapFlags,
): Promise<readonly Leftover[]> {
  const settings = settingsOf(invocation);
  await refuseWhereServed(mountpoint);
  const cloud = cloudOf(settings, invocation);
  // Not at the top: a supervisor must not carry what it never uses.
  const { settleLeftovers } = await import('../../daemon/attachments.js');
  return settleLeftovers({ ...settings, cloud, mountpoint, clock: systemClock }, reap);
}

/** A mount whose engine has just died and is being started again needs what is attached for it. */
async function refuseWhereServed(mountpoint: string): Promise<void> {
  const mount = await findMount(mountpoint);
  if (mount === undefined || !isMountOfOurs(mount) || (await isDead(mountpoint))) return;
  throw new CinderfsError('mountpoint_busy', `${mountpoint} is mounted and its daemon is just starting`, {
    path: mountpoint,
    remedy: 'Try again in a moment.',
  });
}

function leftoverRow({ what, volumeId, attachmentId, owner, deleted }: Leftover): Row {
  return {
    What: what,
    Volume: volumeId,
    Attachment: attachmentId ?? null,
    Owner: owner ?? null,
    Deleted: deleted,
  };
}

function row(one: AttachmentStatus): Row {
  return {
    Volume: one.volume_id,
    Image: one.image_id,
    Name: one.image_name,
    Clone: one.clone_id,
    Attachment: one.attachment_id,
    State: one.state,
    Leases: one.leases,
    'Linger Left': one.linger_left_seconds,
    Age: one.age_seconds,
    Source: one.source,
    'Last Error': one.last_error,
  };
}
