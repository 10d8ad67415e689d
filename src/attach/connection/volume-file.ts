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

/** The file that Cinder names: the one that is written to. */
export function volumeFileOf({ device_path: path, name: given }: ConnectionInfo): VolumeFile {
  const name = typeof path === 'string' ? basename(path) : typeof given === 'string' ? given : '';
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
  return typeof path === 'string'
    ? { ...info, name, device_path: join(dirname(path), name) }
    : { ...info, name };
}
