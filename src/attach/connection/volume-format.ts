/** What the bytes of a volume mean: the one place that decides it, for every connector. */
import type { ConnectionInfo } from '../../cinder/contract/attachments.js';
import { CinderfsError } from '../../errors.js';

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
 * The volume's format, as Cinder says it and never as its content looks. `protocol_unsupported` for a format that is not
 * decoded, and for one on a protocol whose driver cannot mean it.
 */
export function formatOf(info: ConnectionInfo): VolumeFormat {
  const { format = 'raw', driver_volume_type: protocol } = info;
  if (format === 'raw' || (format === 'qcow2' && FILES.has(protocol))) return format;
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
