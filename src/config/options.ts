/** THE option table. Flags, --help, the configuration file, docs/configuration.md and the Config type come from it. */
import { totalmem } from 'node:os';
import { ATTACH_OPTIONS } from './attach-options.js';
import { CLOUD_OPTIONS } from './cloud-options.js';
import { MOUNT_OPTIONS } from './mount-options.js';
import type { OptionSpec, OptionValue } from './option-spec.js';

const MIB = 2 ** 20;

export const OPTIONS = {
  config_file: {
    type: 'path',
    group: 'general',
    default: '/etc/cinderfs/cinderfs.conf',
    metavar: 'FILE',
    doc: 'Configuration file, INI in the manner of oslo.config. Only the default one may be missing.',
  },
  state_dir: {
    type: 'path',
    group: 'general',
    default: '/var/lib/cinderfs',
    metavar: 'DIR',
    doc: 'Where the journal of attachments is kept; it must survive a reboot. One daemon owns it.',
  },
  run_dir: {
    type: 'path',
    group: 'general',
    default: '/run/cinderfs',
    metavar: 'DIR',
    doc: 'Where sockets and process ids are kept; it may be emptied by a reboot.',
  },
  log_level: {
    type: 'enum',
    group: 'general',
    values: ['debug', 'info', 'warn', 'error'],
    default: 'info',
    doc: 'The least important message that is logged.',
  },
  log_file: {
    type: 'path',
    group: 'general',
    default: '/var/log/cinderfs.log',
    metavar: 'FILE',
    doc: 'Where a daemon in the background logs to. One in the foreground logs to stderr; with this option to FILE, and only READY and why it failed are on stderr.',
  },
  log_format: {
    type: 'enum',
    group: 'general',
    values: ['auto', 'text', 'json'],
    default: 'auto',
    doc: 'How log lines look; auto is text on a terminal and JSON elsewhere.',
  },

  ...CLOUD_OPTIONS,

  http_timeout: {
    type: 'seconds',
    group: 'api',
    default: 30,
    min: 1,
    max: 600,
    doc: 'Time for one call to an OpenStack service, its retries included. Calls that wait for a storage backend take at least 90 s.',
  },
  http_retries: {
    type: 'integer',
    group: 'api',
    default: 4,
    min: 0,
    max: 20,
    doc: 'How often a call that is safe to repeat is repeated after a network error or a 5xx answer.',
  },
  volume_microversion: {
    type: 'microversion',
    group: 'api',
    default: '3.69',
    metavar: '3.N',
    doc: 'The highest Cinder microversion to ask for; Cinder must offer 3.54 at least.',
  },
  page_size: {
    type: 'integer',
    group: 'api',
    default: 1000,
    min: 1,
    max: 1000,
    doc: 'Images and volumes asked for in one page of a listing.',
  },
  image_list_ttl: {
    type: 'seconds',
    group: 'api',
    default: 60,
    min: 1,
    max: 86400,
    doc: 'How often the list of images is refreshed, and never more often than in four times the time that took. An unknown name or id is asked for by itself: a few small calls, at most 10 questions at once and one more every 5 s or 25 times what the last took, for all users together; the same one again after 30 s.',
  },
  visibility: {
    type: 'list',
    group: 'api',
    default: ['public', 'shared', 'own'],
    values: ['public', 'shared', 'own', 'community', 'all'],
    metavar: 'KIND,...',
    doc: 'Which images are served: public ones, those that other projects share with ours (not to an administrator, who is shown those of all projects), those of our own project, community images (any tenant may make one, with any name, so Glance lists them only on request), or all that our user can see. A user that may read the mount reads all of them, so private images of other tenants are served only with all.',
  },
  hidden_images: {
    type: 'boolean',
    group: 'api',
    default: true,
    doc: 'Serve images that are hidden in Glance, too: by their ids, not by name. Hiding is how superseded images are rotated; what was made from them goes on needing them.',
  },

  ...ATTACH_OPTIONS,

  ...MOUNT_OPTIONS,
  allow_other: {
    type: 'boolean',
    group: 'files',
    default: () => process.getuid?.() === 0,
    defaultDoc: 'true for root',
    doc: 'Let users other than the one that mounted open the files, as their modes say.',
  },
  uid: {
    type: 'user',
    group: 'files',
    default: () => process.getuid?.() ?? 0,
    defaultDoc: 'the user that mounts',
    metavar: 'USER',
    doc: 'Owner of the files, by name or number.',
  },
  gid: {
    type: 'group',
    group: 'files',
    default: () => process.getgid?.() ?? 0,
    defaultDoc: 'the group of the user that mounts',
    metavar: 'GROUP',
    doc: 'Group of the files, by name or number; kvm or libvirt-qemu lets virtual machines read them.',
  },
  file_mode: {
    type: 'mode',
    group: 'files',
    default: 0o440,
    metavar: 'MODE',
    doc: 'Permissions of the files; write permission means nothing, they are read-only. A user that may read the files may list them.',
  },
  open_listing: {
    type: 'boolean',
    group: 'files',
    default: false,
    doc: 'Let every user of this host list the images and see their names and sizes, whatever `file_mode` says of their bytes.',
  },
  handles_per_user: {
    type: 'integer',
    group: 'files',
    default: 4096,
    min: 16,
    max: 1_000_000,
    doc: 'Files and directories that one user may have open on the mount at a time; another one fails with EMFILE. Root is not limited. Our own engine only.',
  },

  attribute_ttl: {
    type: 'seconds',
    group: 'reading',
    default: 60,
    max: 86400,
    doc: 'How long the kernel may keep names and attributes; images that disappear are taken out at once where it can be told.',
  },
  passthrough: {
    type: 'boolean',
    group: 'reading',
    default: true,
    doc: 'Let the kernel read volumes that are files of exactly the size of the image by itself (Linux 6.9 and later, root).',
  },
  read_timeout: {
    type: 'seconds',
    group: 'reading',
    default: 30,
    min: 1,
    max: 3600,
    doc: 'Time after which a read(2) that waits for the storage backend fails with ETIMEDOUT.',
  },
  cache_size: {
    type: 'bytes',
    group: 'reading',
    default: () => Math.min(256 * MIB, Math.floor(totalmem() / 4 / MIB) * MIB),
    defaultDoc: 'a quarter of the memory, at most 256 MiB',
    doc: 'Memory for bytes of images that the page cache of the kernel cannot keep: three quarters for readers that pass by it (O_DIRECT), a quarter for what is fetched around short reads over NBD and of RBD.',
  },
} as const satisfies Record<string, OptionSpec>;

export type OptionName = keyof typeof OPTIONS;

/** Every option's value, frozen. Times are seconds, sizes bytes. */
export type Config = { readonly [Name in OptionName]: OptionValue<(typeof OPTIONS)[Name]> };

/** The table's rows, for code that treats all options alike. */
export function optionEntries(): readonly (readonly [OptionName, OptionSpec])[] {
  return Object.entries(OPTIONS) as [OptionName, OptionSpec][];
}
