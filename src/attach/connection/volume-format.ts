/** What the bytes of a volume mean: the one place that decides it, for every connector. */
import type { ConnectionInfo } from '../../cinder/contract/attachments.js';
import { CinderfsError } from '../../errors.js';
import { volumeFileOf } from './volume-file.js';

export type VolumeFormat = 'raw' | 'qcow2';

/** Protocols whose volumes are files: Cinder keeps some of those in a format. All others are blocks, which are raw. */
const FILES: ReadonlySet<string> = new Set(['nfs', 'glusterfs', 'quobyte', 'vzstorage', 'gpfs', 'local']);

/**
 * Whether the answer to PUT /attachments may be wrong about the format: some drivers put there what qemu-img detects in
 * the content, which a guest may have written. GET /attachments has the volume's own.
 */
export function hasFormat({ driver_volume_type: protocol }: ConnectionInfo): boolean {
  return FILES.has(protocol);
}

/**
 * The format of the file that Cinder names, as Cinder says it and never as its content looks. The overlay of a snapshot is
 * qcow2: until 2025.1 Cinder goes on to say what the volume was without snapshots. `protocol_unsupported` for a format
 * that is not decoded, and for one on a protocol whose driver cannot mean it.
 */
export function formatOf(info: ConnectionInfo): VolumeFormat {
  const { format = 'raw', driver_volume_type: protocol } = info;
  const isFile = FILES.has(protocol);
  if (format === 'raw') return isFile && volumeFileOf(info).snapshot !== undefined ? 'qcow2' : 'raw';
  if (format === 'qcow2' && isFile) return format;
  throw new CinderfsError(
    'protocol_unsupported',
    `volumes of format ${JSON.stringify(format)} are not served over ${protocol}`,
    { remedy: 'Convert the volume to raw, or migrate it to a backend whose volumes are raw.' },
  );
}

/** For connectors that hand out the bytes as they are; `protocol_unsupported` where they must be decoded. */
export function requireRaw(info: ConnectionInfo, connector: string): void {
  const format = formatOf(info);
  if (format === 'raw') return;
  throw new CinderfsError(
    'protocol_unsupported',
    `the ${connector} connector does not decode ${format} volumes`,
  );
}
