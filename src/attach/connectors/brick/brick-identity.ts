import { CinderfsError } from '../../../errors.js';
import type { ConnectionInfo } from '../../../cinder/contract/attachments.js';

/** A device as it answers for itself (cinderfs-brick check): the same identifiers on every path that answers. */
export interface BrickDevice {
  /** /dev/NAME, as the kernel calls it now. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** The kernel's number of this disk; no other disk ever had it. */
  readonly diskseq: string;
  readonly paths: readonly string[];
  /** KIND.VALUE: naa, eui, t10, name, serial, uuid, nguid, dm. */
  readonly ids: readonly string[];
}

/** connection_info's promises about the volume, and the kind of identifier that keeps each. */
const PROMISES = [
  { key: 'wwn', kind: 'naa' },
  { key: 'vol_uuid', kind: 'uuid' },
  { key: 'volume_nguid', kind: 'nguid' },
] as const;

const MOST_NAMES_TOLD = 3;

/**
 * The device must be what Cinder promised, where it promises anything; `identity_mismatch` otherwise. A kind that the
 * device does not have is unknown; one that it has with another value is another volume (CVE-2023-2088).
 */
export function judgeDevice(device: BrickDevice, info: ConnectionInfo, volume: string): void {
  for (const { key, kind } of PROMISES) {
    const promised = info[key];
    const seen = device.ids.flatMap((id) =>
      id.startsWith(`${kind}.`) ? [plain(id.slice(kind.length + 1))] : [],
    );
    if (typeof promised !== 'string' || seen.length === 0 || seen.includes(plain(promised))) continue;
    // A disk may give itself hundreds of names.
    const said = seen.slice(0, MOST_NAMES_TOLD).join(', ');
    throw new CinderfsError(
      'identity_mismatch',
      `${device.path} says it is ${kind} ${said}, where Cinder promised ${promised}`,
      { volume, path: device.path },
    );
  }
}

/** Kinds of identifier that are never given to another volume; the first that a device has is its name. */
const NAMING = ['naa', 'nguid', 'uuid', 'eui', 't10'];

/** What the device is called for ever, as it says itself; undefined when it has only a serial or nothing. */
export function deviceName({ ids }: BrickDevice): string | undefined {
  return NAMING.map((kind) => ids.find((id) => id.startsWith(`${kind}.`))).find((id) => id !== undefined);
}

/**
 * What comes before the name itself in a device's answer: type of designator (or of descriptor), and length. With the
 * lengths that the standards allow: another one does not fit what readers are handed (SharedDevices).
 */
const HEADERS = new Map<
  string,
  { lengths: readonly number[]; header: (length: number) => readonly number[] }
>([
  ['naa', { lengths: [8, 16], header: (length) => [3, 0, length] }],
  ['nguid', { lengths: [16], header: (length) => [2, length, 0, 0] }],
  ['uuid', { lengths: [16], header: (length) => [3, length, 0, 0] }],
]);

/** The part of its answer that names the device, for readers that ask after every read (DeviceSource.identityTag). */
export function designator(device: BrickDevice): string | undefined {
  const [kind = '', name = ''] = deviceName(device)?.split('.') ?? [];
  const known = HEADERS.get(kind);
  const length = name.length / 2;
  if (known === undefined || !known.lengths.includes(length) || !/^[0-9a-f]*$/.test(name)) return undefined;
  return Buffer.from(known.header(length)).toString('hex') + name;
}

/** One string that stays the same as long as it is the same disk with the same volume behind it. */
export function deviceIdentity({ diskseq, ids }: BrickDevice): string {
  return [`diskseq.${diskseq}`, ...ids].join(' ');
}

/** Arrays write the same number with and without prefix, dashes and capitals. */
function plain(id: string): string {
  return id
    .toLowerCase()
    .replace(/^0x|^naa\./, '')
    .replace(/[^0-9a-f]/g, '');
}
