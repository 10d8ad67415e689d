/**
 * Whether a source is the volume it should be, before a byte of it is served (CVE-2023-2088: a LUN that was reused
 * under a lingering device shows another tenant's data). Absence of a fact is "unknown", a mismatch is fatal.
 */
import { CinderfsError } from '../../errors.js';
import type { ConnectionInfo } from '../../cinder/contract/attachments.js';
import type { Connected } from '../connection/connector.js';
import type { ImageHash } from '../journal/record.js';
import { canVerify, fingerprint, hasHash } from './content.js';
import { ciphertext } from './encryption.js';

/** What one image on one volume looked like when it was first proven. */
export interface Pin {
  readonly volumeId: string;
  readonly imageId: string;
  /** The backend's own name, where it has one that is never reused. */
  readonly backend?: string | undefined;
  /** Of the image's content, see fingerprint(). */
  readonly fingerprint: string;
  /** `algorithm:value`, where all of the content was seen to have that hash. */
  readonly hash?: string | undefined;
}

/** Why a name proves nothing of the bytes: they are made from those of the volume, or may be ciphertext. */
export type Doubt = 'decoded' | 'encrypted';

/** Pins of all volumes ever proven on this host. */
export interface Pins {
  get(volumeId: string): Pin | undefined;
  list(): readonly Pin[];
  write(pin: Pin): Promise<void>;
  remove(volumeId: string): Promise<void>;
}

export interface Subject {
  readonly volumeId: string;
  readonly imageId: string;
  /** Bytes. */
  readonly imageSize: number;
  /** What Glance says the image's bytes are; undefined where it does not, or where they are too many to read. */
  readonly hash: ImageHash | undefined;
  readonly backend: string | undefined;
  /** It was connected by a name that the backend gave to this volume alone, see connectedByName(). */
  readonly named: boolean;
  readonly doubt: Doubt | undefined;
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
 * Whether what is connected goes by a name that has this volume's id in it and that the connector connected by: an RBD
 * image, an iSCSI target on every portal, an NVMe namespace that said its uuid itself. The name of a file says nothing
 * of what is in it, and any other name only that Cinder told it.
 */
export function connectedByName(info: ConnectionInfo, volumeId: string, deviceName?: string): boolean {
  const has = (value: unknown): boolean => typeof value === 'string' && value.includes(volumeId);
  switch (info.driver_volume_type) {
    case 'rbd':
      return typeof info.name === 'string' && has(info.name.split('/').at(-1));
    case 'iscsi':
    case 'iser':
      return has(info.target_iqn) && (!Array.isArray(info.target_iqns) || info.target_iqns.every(has));
    case 'nvmeof':
      return deviceName !== undefined && has(info.vol_uuid);
    default:
      return false;
  }
}

/**
 * Proves that `connected` is the volume of `subject`: size, the backend's name against every pin, the image's content
 * against the pin. Where that is the first ever and there is no name, where it differs, and where there is a doubt that no
 * name takes away, Glance's hash decides.
 *
 * A backend name that changed while the content is the same is a migrated volume: it is pinned anew. Throws
 * `identity_mismatch` or `volume_encrypted`; whatever the connector throws when the volume cannot be read passes through.
 */
export async function prove(connected: Connected, subject: Subject, pins: Pins): Promise<Proof> {
  const { volumeId, imageId, imageSize, backend, cloned } = subject;
  const size = await connected.size();
  if (size < imageSize)
    throw mismatch(volumeId, `the source has ${size} bytes, fewer than the image's ${imageSize}`);
  const owner = pins.list().find((pin) => backend !== undefined && pin.backend === backend);
  if (owner !== undefined && owner.volumeId !== volumeId)
    throw mismatch(volumeId, `${backend ?? ''} was proven to be volume ${owner.volumeId}`);
  const seen = await fingerprint(connected, imageSize);
  const pin = pins.get(volumeId);
  // Another image on the same volume is new content by right: only the same image must look the same for ever.
  const known = pin?.imageId === imageId ? pin : undefined;
  const same = known?.fingerprint === seen;
  const name = cloned ? pin?.backend : backend;
  const proven = { volumeId, imageId, backend: name, fingerprint: seen, hash: same ? known.hash : undefined };
  if (isSure(subject, known, same)) return { pin: proven, trusted: false };
  const hash = await judgeContent(connected, subject, known !== undefined && !same);
  return { pin: { ...proven, hash }, trusted: known === undefined && hash === undefined };
}

function isSure({ doubt, hash, named }: Subject, known: Pin | undefined, same: boolean): boolean {
  if (doubt === undefined) return same || (known === undefined && named);
  return same && hash !== undefined && known?.hash === textOf(hash);
}

function textOf({ algorithm, value }: ImageHash): string {
  return `${algorithm}:${value.toLowerCase()}`;
}

/**
 * The hash that all of the content has, where that could be seen. `differs`: from what was pinned, which may itself have
 * been another volume's.
 */
async function judgeContent(
  connected: Connected,
  subject: Subject,
  differs: boolean,
): Promise<string | undefined> {
  const { volumeId, imageSize, hash, doubt } = subject;
  if (hash !== undefined && canVerify(hash)) {
    if (await hasHash(connected, imageSize, hash)) return textOf(hash);
    throw doubt === 'encrypted' && !differs
      ? ciphertext(volumeId)
      : mismatch(volumeId, 'its content is not what Glance says the image is');
  }
  if (doubt === 'encrypted') throw ciphertext(volumeId);
  if (differs) throw mismatch(volumeId, 'its content is not what it was when the image was first proven');
  return undefined;
}

export function samePin(left: Pin | undefined, right: Pin): boolean {
  return (
    left?.imageId === right.imageId &&
    left.backend === right.backend &&
    left.fingerprint === right.fingerprint &&
    left.hash === right.hash
  );
}

function mismatch(volume: string, why: string): CinderfsError {
  return new CinderfsError('identity_mismatch', `the identity check of volume ${volume} failed: ${why}`, {
    volume,
  });
}
