import type { DaemonStatus } from '../../ops/status.js';
import { mountWith } from '../control/mount-word.js';
import { otherMounts, type OtherMount } from '../control/other-mounts.js';
import { renderList, renderOne, type Row } from '../output/output.js';
import { OUTPUT_FLAGS, outputOptions } from '../output/output-flags.js';
import { runningDaemons } from '../control/running-daemons.js';
import { settingsOf } from '../settings/settings.js';
import type { Verb } from '../command-line/verb.js';

const COLUMNS = ['Mountpoint', 'State', 'Images', 'Images Age', 'Open Files', 'Attachments', 'PID'];

/** `cinderfs status [DIR]`: every daemon on this host in a line, or one in detail. */
export const status: Verb = {
  name: 'status',
  usage: '[DIR|FILE]',
  summary: 'Show what runs, what is open and what is attached',
  words: { min: 0, max: 1 },
  flags: OUTPUT_FLAGS,
  optionGroups: ['general'],
  examples: ['cinderfs status', 'cinderfs status /images -f json'],
  async run(invocation) {
    const output = outputOptions(invocation.flags);
    const [word] = invocation.words;
    if (word === undefined) {
      const running = await runningDaemons(settingsOf(invocation).config.run_dir);
      const others = await otherMounts(running.map(({ mountpoint }) => mountpoint));
      invocation.stdout(renderList([...running.map(summary), ...others.map(bare)], COLUMNS, output));
      for (const other of others) invocation.stderr(`cinderfs: ${advice(other)}\n`);
    } else {
      const { client } = await mountWith(invocation, word);
      const report = await client.get<DaemonStatus>('/status');
      invocation.stdout(renderOne(output.format === 'json' ? { ...report } : detail(report), output));
    }
    return 0;
  },
};

function summary(report: DaemonStatus): Row {
  return {
    Mountpoint: report.mountpoint,
    State: report.login_failure === null ? report.state : `${report.state}, logins fail`,
    Images: report.images.count,
    'Images Age': `${report.images.age_seconds} s`,
    'Open Files': report.open_files.reduce((sum, file) => sum + file.handles, 0),
    Attachments: report.attachments.length,
    PID: report.pid,
  };
}

/** Of a mount that no daemon tells of. */
function bare({ mountpoint, state }: OtherMount): Row {
  return { Mountpoint: mountpoint, State: STATES[state] };
}

const STATES = { dead: 'dead', silent: 'no answer', serving: 'unreachable' } as const;

function advice({ mountpoint, state }: OtherMount): string {
  switch (state) {
    case 'dead':
      return `the daemon of ${mountpoint} died; \`cinderfs mount ${mountpoint}\` takes the mount over, \`cinderfs umount ${mountpoint}\` removes it`;
    case 'silent':
      return `${mountpoint} does not answer; its engine may be starting again`;
    case 'serving':
      return `${mountpoint} is served by a daemon that does not listen in this run_dir; \`cinderfs status ${mountpoint}\` says more`;
  }
}

function detail(report: DaemonStatus): Row {
  return {
    mountpoint: report.mountpoint,
    state: report.state,
    version: report.version,
    pid: report.pid,
    uptime: `${report.uptime_seconds} s`,
    fuse: report.fuse,
    cloud: report.cloud,
    logins:
      report.login_failure === null
        ? 'succeed'
        : `fail since ${report.login_failure.since}: ${report.login_failure.reason}`,
    images: imagesOf(report.images),
    open_files: report.open_files
      .map((file) => `${file.image_id} x${file.handles} (${file.served})`)
      .join('; '),
    attachments: report.attachments
      .map((one) => {
        const linger = one.linger_left_seconds === null ? '' : `, detach in ${one.linger_left_seconds} s`;
        return `${one.image_name}: ${one.state}, ${one.leases} leases${linger}`;
      })
      .join('; '),
  };
}

/** A daemon of an earlier version says less. */
function imagesOf(images: DaemonStatus['images']): string {
  const { count, age_seconds: age, last_error: error, failing_seconds: failing } = images;
  const listed = `${count}, listed ${age} s ago`;
  return typeof error === 'string'
    ? `${listed}; refreshing fails since ${String(failing)} s: ${error}`
    : listed;
}
