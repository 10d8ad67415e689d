/** The head of a qcow2 file, as far as it can lead somewhere else (docs/interop/qcow2.txt of QEMU). */
import { CinderfsError } from '../../../errors.js';

/** A header and its extensions end within the first cluster: as much as there is, up to this. */
export const HEAD_BYTES = 64 * 1024;

const MAGIC = 0x514649fb;
const V2_LENGTH = 72;
const V3_LENGTH = 104;
/** Incompatible features that stay within the file: dirty, corrupt, compression type, extended L2 entries. */
const HARMLESS = (1n << 0n) | (1n << 1n) | (1n << 3n) | (1n << 4n);
const DATA_FILE = 1n << 2n;
const DATA_FILE_NAME = 0x44415441;
const BACKING_FORMAT = 0xe2792aca;
const END = 0;
/** Fields of the header: where the name of the backing file is, how long, and how the image is encrypted. */
const BACKING_OFFSET = 8;
const BACKING_LENGTH = 16;
const CRYPT_METHOD = 32;
/** QEMU reads no longer one. */
const MAX_NAME = 1023;

/** The file below this one, in the words of the header: not to be followed unless it is known already. */
export interface BackingName {
  readonly name: string;
  readonly format: string | undefined;
}

export interface Qcow2Head {
  readonly version: 2 | 3;
  /** What a guest sees, in bytes. */
  readonly virtualSize: number;
  readonly backing: BackingName | undefined;
}

/**
 * Reads `head`, the first bytes of a qcow2 file, before any format driver does. `volume_unsafe` where it keeps its data
 * in another file, where it needs a feature that we do not know, where it is encrypted, and where it is no qcow2 at
 * all.
 */
export function readQcow2(head: Buffer): Qcow2Head {
  if (head.length < V2_LENGTH || head.readUInt32BE(0) !== MAGIC) throw unsafe('it is no qcow2');
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw unsafe(`it is qcow2 of version ${version}`);
  if (head.readUInt32BE(CRYPT_METHOD) !== 0) throw unsafe('it is encrypted');
  if (version === 3) judgeFeatures(head);
  const virtualSize = Number(head.readBigUInt64BE(24));
  return { version, virtualSize, backing: backingIn(head, version) };
}

/** The same of a file that is all of its volume: a backing file is `volume_unsafe`, too. */
export function judgeQcow2(head: Buffer): Qcow2Head {
  const read = readQcow2(head);
  if (read.backing === undefined) return read;
  throw unsafe('its header names a backing file');
}

/** `why` in a sentence about the volume. */
export function unsafe(why: string, remedy?: string): CinderfsError {
  return new CinderfsError('volume_unsafe', `the volume's qcow2 is not decoded: ${why}`, { remedy });
}

function judgeFeatures(head: Buffer): void {
  if (head.length < V3_LENGTH) throw unsafe('its header is cut short');
  const features = head.readBigUInt64BE(72);
  if ((features & DATA_FILE) !== 0n) throw unsafe('its data is in another file');
  const unknown = features & ~HARMLESS;
  if (unknown !== 0n) throw unsafe(`it has unknown features (0x${unknown.toString(16)})`);
  if (extensionsOf(head, 3).some(({ type }) => type === DATA_FILE_NAME))
    throw unsafe('its header names a data file');
}

function backingIn(head: Buffer, version: 2 | 3): BackingName | undefined {
  const offset = Number(head.readBigUInt64BE(BACKING_OFFSET));
  if (offset === 0) return undefined;
  const length = head.readUInt32BE(BACKING_LENGTH);
  if (length === 0 || length > MAX_NAME || offset + length > head.length)
    throw unsafe('the name of its backing file is cut short');
  const formats = extensionsOf(head, version).filter(({ type }) => type === BACKING_FORMAT);
  if (formats.length > 1) throw unsafe('it says the format of its backing file more than once');
  const name = head.toString('latin1', offset, offset + length);
  return { name, format: formats[0]?.data.toString('latin1') };
}

interface Extension {
  readonly type: number;
  readonly data: Buffer;
}

/** They end with the one that says so, or where the name of the backing file begins. */
function extensionsOf(head: Buffer, version: 2 | 3): readonly Extension[] {
  const found: Extension[] = [];
  const begin = version === 2 ? V2_LENGTH : head.readUInt32BE(100);
  const limit = Number(head.readBigUInt64BE(BACKING_OFFSET));
  if (version === 3 && begin < V3_LENGTH) throw unsafe('its header is cut short');
  for (let at = begin; at + 8 <= head.length;) {
    if (limit !== 0 && at + 8 > limit) return found;
    const type = head.readUInt32BE(at);
    if (type === END) return found;
    const length = head.readUInt32BE(at + 4);
    found.push({ type, data: head.subarray(at + 8, at + 8 + length) });
    at += 8 + Math.ceil(length / 8) * 8;
  }
  throw unsafe('its header is cut short');
}
