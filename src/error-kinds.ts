/** Every error an operator can meet: its code, errno, log level and the way out. docs/errors.md is generated from here. */
import type { Errno } from './errno-names.js';
import { EXIT } from './exit-status.js';

/** One row of the error table. `exit` is the status of a command that ends with this error. */
export interface ErrorKind {
  readonly errno: Errno;
  readonly exit: number;
  readonly level: 'debug' | 'warn' | 'error';
  readonly remedy: string;
}

const kind = (
  errno: Errno,
  exit: keyof typeof EXIT,
  level: ErrorKind['level'],
  remedy: string,
): ErrorKind => ({ errno, exit: EXIT[exit], level, remedy });

/** THE error table. Codes are stable: scripts and docs anchor on them. */
export const ERROR_KINDS = {
  usage: kind('EINVAL', 'usage', 'error', 'See `cinderfs --help`.'),
  config_invalid: kind('EINVAL', 'config', 'error', 'Correct the value where it was set.'),
  cloud_missing: kind(
    'EINVAL',
    'config',
    'error',
    'Set OS_CLOUD or --os-cloud to an entry of clouds.yaml, or the OS_* variables.',
  ),
  auth_failed: kind(
    'EACCES',
    'auth',
    'error',
    'Check user, password and project; `openstack token issue` must work with the same settings.',
  ),
  auth_unreachable: kind('EIO', 'auth', 'error', 'Check auth_url and that Keystone answers from this host.'),
  forbidden: kind(
    'EACCES',
    'auth',
    'error',
    'Give the user the member and service roles in the project that owns the image volumes.',
  ),
  endpoint_missing: kind(
    'EIO',
    'config',
    'error',
    'Check region and interface, or set the endpoint override of that service.',
  ),
  microversion_unsupported: kind(
    'EIO',
    'openstack',
    'error',
    'Cinder must offer microversion 3.54 (Rocky) or later.',
  ),
  http_failed: kind('EIO', 'openstack', 'error', 'Look the request id up in the log of that service.'),
  http_timeout: kind(
    'ETIMEDOUT',
    'timeout',
    'error',
    'Check that the service answers; raise the deadline if it is slow.',
  ),
  not_found: kind('ENOENT', 'openstack', 'debug', 'It is gone, or this user may not see it.'),
  conflict: kind(
    'EBUSY',
    'busy',
    'warn',
    'Another operation holds the volume; it is retried within the attach budget.',
  ),

  image_not_found: kind('ENOENT', 'usage', 'debug', 'List what there is with `cinderfs images`.'),
  read_only: kind('EROFS', 'usage', 'debug', 'Images are read-only; write to an overlay or a copy.'),
  not_a_directory: kind('ENOTDIR', 'usage', 'debug', 'That name is not a directory.'),
  is_a_directory: kind('EISDIR', 'usage', 'debug', 'That name is a directory.'),
  name_too_long: kind('ENAMETOOLONG', 'usage', 'debug', 'Use a shorter name; the id always fits.'),
  too_many_handles: kind(
    'EMFILE',
    'busy',
    'warn',
    'Close some of the files this user has open here, or raise --handles-per-user.',
  ),
  bad_handle: kind('EBADF', 'internal', 'error', 'The file was closed already; open it again.'),
  no_attribute: kind('ENODATA', 'usage', 'debug', 'That extended attribute does not exist.'),
  beyond_end: kind('ENXIO', 'usage', 'debug', 'There is no such data at or after that offset.'),
  unsupported: kind('EOPNOTSUPP', 'usage', 'debug', 'This filesystem does not offer that operation.'),
  interrupted: kind('EINTR', 'usage', 'debug', 'The caller gave up waiting.'),

  attach_refused: kind(
    'EIO',
    'openstack',
    'error',
    'Look the request id up in the cinder-volume log; nothing was left reserved.',
  ),
  attach_timeout: kind(
    'ETIMEDOUT',
    'timeout',
    'error',
    'Check cinder-volume and its backend; the open may be tried again.',
  ),
  volume_busy: kind(
    'EBUSY',
    'busy',
    'error',
    'Another host or service holds this volume and its type is not multiattach; wait, or use a multiattach type.',
  ),
  too_many_attachments: kind(
    'EDQUOT',
    'busy',
    'warn',
    'Close files that are not needed, or raise the ceiling that the message names.',
  ),
  connector_missing: kind('EIO', 'connector', 'error', 'Install the package the message names.'),
  connector_failed: kind('EIO', 'connector', 'error', 'Check that this host reaches the storage backend.'),
  host_hung: kind(
    'ETIMEDOUT',
    'connector',
    'error',
    'The log names the share or device that does not answer; opens work again as soon as it does.',
  ),
  protocol_unsupported: kind(
    'EOPNOTSUPP',
    'connector',
    'error',
    'Choose another --connector for this protocol.',
  ),
  volume_encrypted: kind(
    'EOPNOTSUPP',
    'connector',
    'error',
    'Copy the image to a volume type without encryption, and upload it again so that Glance has a hash of it.',
  ),
  volume_unsafe: kind(
    'EACCES',
    'connector',
    'error',
    'Upload the image again; look at what wrote the volume before anything else opens it.',
  ),
  identity_mismatch: kind(
    'ESTALE',
    'internal',
    'error',
    'The device did not prove to be this volume; it was fenced. Look for a reused LUN before opening it again.',
  ),
  image_unsafe: kind(
    'EPERM',
    'openstack',
    'error',
    'Upload the image again as a format that stands alone, with its right disk_format. To serve it all the same: --image-safety=warn.',
  ),
  image_changed: kind(
    'ESTALE',
    'internal',
    'error',
    'Its volume holds another image now, or the image is in another volume; open it again.',
  ),
  attachment_lost: kind(
    'EIO',
    'openstack',
    'error',
    'Another service or an operator removed the attachment; open the file again.',
  ),
  detach_failed: kind('EIO', 'openstack', 'error', 'It is retried in the background; see `cinderfs status`.'),
  journal_failed: kind(
    'EIO',
    'config',
    'error',
    'Check the state directory: space, permissions, file system.',
  ),
  path_unusable: kind(
    'EIO',
    'config',
    'error',
    'Make the place that the message names usable, or set another one.',
  ),
  owner_exists: kind(
    'EBUSY',
    'busy',
    'error',
    'One daemon owns a state directory; stop the one named, or use another --state-dir.',
  ),

  read_failed: kind(
    'EIO',
    'internal',
    'error',
    'The backend failed a read; see the cause and the log of the backend.',
  ),
  read_timeout: kind(
    'ETIMEDOUT',
    'timeout',
    'error',
    'The backend did not answer in time; other images are not affected.',
  ),
  draining: kind('EAGAIN', 'busy', 'warn', 'The mount is being taken down; open again after the restart.'),

  mountpoint_invalid: kind('ENOENT', 'mountpoint', 'error', 'Create an empty directory and mount there.'),
  mountpoint_busy: kind(
    'EBUSY',
    'mountpoint',
    'error',
    'Unmount what is mounted there, or choose another directory.',
  ),
  holders: kind('EBUSY', 'busy', 'error', 'Close the files the message names, then unmount again.'),
  fuse_missing: kind(
    'ENODEV',
    'fuse',
    'error',
    'Load the fuse module and give this process access to /dev/fuse.',
  ),
  fuse_failed: kind('EIO', 'fuse', 'error', 'See the cause; `dmesg` may say more.'),
  not_running: kind('ENOENT', 'not_running', 'error', 'Start it with `cinderfs mount DIR`.'),
  unreachable: kind('EIO', 'not_running', 'error', 'Give the --run-dir that the daemon was started with.'),
  no_answer: kind(
    'EIO',
    'not_running',
    'error',
    'The daemon exited before it replied. Retry; its log says why.',
  ),
  start_timeout: kind('ETIMEDOUT', 'timeout', 'error', 'See the log lines above for what it waited for.'),
  upgrade_failed: kind(
    'EIO',
    'busy',
    'error',
    "The running version keeps serving. Check the mount's log, then retry.",
  ),
  output_failed: kind('EIO', 'output', 'error', 'Check where the output goes: space, permissions.'),
  internal: kind('EIO', 'internal', 'error', 'This is a bug in cinderfs; report it with the log line.'),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_KINDS;
