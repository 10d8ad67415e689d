/**
 * Whether a source is the volume it should be, before a byte of it is served (CVE-2023-2088: a LUN that was reused
 * under a lingering device shows another tenant's data). Absence of a fact is "unknown", a mismatch is fatal.
 */
import { CinderfsError } from '../../errors.js';
import type { ConnectionInfo } from '../../cinder/types.js';
import type { Connected } from '../connector.js';
import type { ImageHash } from '../journal/record.js';
import { canVerify, fingerprint, hasHash } from './content.js';

/** What one image on one volume looked like when it was first proven. */
export interface Pin {
  readonly volumeId: string;
  readonly imageId: string;
  /** The backend's own name, where it has one that is never reused. */
  readonly backend?: string | undefined;
  /** Of the image's content, see fingerprint(). */
  readonly fingerprint: string;
}

/** Pins of all volumes ever proven on this host. */
export interface Pins {
  get(volumeId: string): Pin | undefined;
  list(): readonly Pin[];
  write(pin: Pin): Promise<void>;
}

export interface Subject {
  readonly volumeId: string;
  readonly imageId: string;
  /** Bytes. */
  readonly imageSize: number;
  /** What Glance says the image's bytes are; undefined where it does not, or where they are too many to read. */
  readonly hash: ImageHash | undefined;
  readonly backend: string | undefined;
  /** That name was known before the volume was connected. */
  readonly named: boolean;
  /** It is read through a clone: the content must be that of the volume, the backend's name is another. */
  readonly cloned: boolean;
}

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;

/**
 * The name that the backend gives this volume alone, or undefined. An IQN without a volume's id is one that an array
 * shares between volumes, and a LUN is reused by design: neither proves anything.
 */
export function backendName(info: ConnectionInfo): string | undefined {
  const text = (key: string): string | undefined => {
    const value = info[key];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const wwn = text('wwn') ?? text('volume_nguid') ?? text('vol_uuid');
  if (wwn !== undefined) return `wwn:${wwn.toLowerCase()}`;
  const name = text('name');
  const iqn = text('target_iqn');
  if (name !== undefined && UUID.test(name)) return `${info.driver_volume_type}:${name}`;
  if (iqn !== undefined && UUID.test(iqn)) return `iqn:${iqn}`;
  return undefined;
}

/** What Cinder says about the connection must be about this volume; `identity_mismatch` otherwise. */
export function judgeConnection(info: ConnectionInfo, volumeId: string): void {
  const told = info.volume_id;
  if (typeof told === 'string' && told !== volumeId)
    throw mismatch(volumeId, `Cinder connected volume ${told} instead`);
}

export interface Proof {
  readonly pin: Pin;
  /** Nothing was known to compare with: neither a name, nor earlier content, nor a hash of it. */
  readonly trusted: boolean;
}

/**
 * Proves that `connected` is the volume of `subject`: size, the backend's name against every pin, the image's content
 * against the pin. Where that is the first ever and there is no name, or where it differs, Glance's hash decides.
 *
 * A backend name that changed while the content is the same is a migrated volume: it is pinned anew. Throws
 * `identity_mismatch`; whatever the connector throws when the volume cannot be read passes through.
 */
export async function prove(connected: Connected, subject: Subject, pins: Pins): Promise<Proof> {
  const { volumeId, imageId, imageSize, backend, named, cloned } = subject;
  const size = await connected.size();
  if (size < imageSize)
    throw mismatch(volumeId, `the source has ${size} bytes, fewer than the image's ${imageSize}`);
  const owner = pins.list().find((pin) => backend !== undefined && pin.backend === backend);
  if (owner !== undefined && owner.volumeId !== volumeId)
    throw mismatch(volumeId, `${backend ?? ''} was proven to be volume ${owner.volumeId}`);
  const seen = await fingerprint(connected, imageSize);
  const pin = pins.get(volumeId);
  // Another image on the same volume is new content by right: only the same image must look the same for ever.
  const known = pin?.imageId === imageId ? pin.fingerprint : undefined;
  const sure = known === seen || (known === undefined && named);
  if (!sure) await judgeContent(connected, subject, known !== undefined);
  return {
    pin: { volumeId, imageId, backend: cloned ? pin?.backend : backend, fingerprint: seen },
    trusted: !sure && !verifiable(subject),
  };
}

/** `differs`: from what was pinned, which may itself have been another volume's. */
async function judgeContent(connected: Connected, subject: Subject, differs: boolean): Promise<void> {
  const { volumeId, imageSize, hash } = subject;
  if (verifiable(subject) && hash !== undefined) {
    if (await hasHash(connected, imageSize, hash)) return;
    throw mismatch(volumeId, 'its content is not what Glance says the image is');
  }
  if (differs) throw mismatch(volumeId, 'its content is not what it was when the image was first proven');
}

function verifiable({ hash }: Subject): boolean {
  return hash !== undefined && canVerify(hash);
}

export function samePin(left: Pin | undefined, right: Pin): boolean {
  return (
    left?.imageId === right.imageId &&
    left.backend === right.backend &&
    left.fingerprint === right.fingerprint
  );
}

function mismatch(volume: string, why: string): CinderfsError {
  return new CinderfsError('identity_mismatch', `volume ${volume} is not what it should be: ${why}`, {
    volume,
  });
}
