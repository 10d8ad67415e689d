/** The files of a volume on a share, by the names that Cinder's remotefs drivers give them. */
import { basename, dirname, join } from 'node:path';
import type { ConnectionInfo } from '../../cinder/contract/attachments.js';

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
/** The base has the volume's id in it: else `volume.ID` would be one. */
const OVERLAY = new RegExp(`^(.*${UUID}.*)\\.(${UUID})$`);

export interface VolumeFile {
  /** In its directory. */
  readonly name: string;
  /** The file that the volume has without snapshots: `volume-ID`, or as `volume_name_template` and a migration made it. */
  readonly base: string;
  /** This file holds what was written since that snapshot, in qcow2, and all else is below it. */
  readonly snapshot?: string | undefined;
}

/** Protocols whose connection_info names a path of this host; the others of files name one of a share. */
const WITH_PATH: ReadonlySet<string> = new Set(['local', 'gpfs']);

/** Whether `device_path` says where the volume is, and `name` nothing. */
export function namesPath({ driver_volume_type: protocol }: ConnectionInfo): boolean {
  return WITH_PATH.has(protocol);
}

/** The file that Cinder names and that connectors open: the one that is written to. */
export function volumeFileOf(info: ConnectionInfo): VolumeFile {
  const { device_path: path, name: given } = info;
  const named = namesPath(info) && typeof path === 'string' ? basename(path) : given;
  // Connectors take a number for its digits, too (backend-values.ts).
  const name = typeof named === 'string' || typeof named === 'number' ? String(named) : '';
  const [, base = name, snapshot] = OVERLAY.exec(name) ?? [];
  return { name, base, snapshot };
}

/** The name of the overlay of a snapshot. */
export function overlayOf(base: string, snapshot: string): string {
  return `${base}.${snapshot}`;
}

/** What Cinder would say of another file of the volume, next to the one that it names. */
export function besides(info: ConnectionInfo, name: string): ConnectionInfo {
  const { device_path: path } = info;
  if (!namesPath(info) || typeof path !== 'string') return { ...info, name };
  return { ...info, name, device_path: join(dirname(path), name) };
}
