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
const END = 0;
/** An offset of the header that names a backing file, and one that says how it is encrypted. */
const BACKING_OFFSET = 8;
const CRYPT_METHOD = 32;

export interface Qcow2Head {
  readonly version: 2 | 3;
  /** What a guest sees, in bytes. */
  readonly virtualSize: number;
}

/**
 * Reads `head`, the first bytes of a qcow2 file, before any format driver does. `volume_unsafe` where it names another
 * file, where it needs a feature that nobody here knows, where it is encrypted, and where it is no qcow2 at all.
 */
export function judgeQcow2(head: Buffer): Qcow2Head {
  if (head.length < V2_LENGTH || head.readUInt32BE(0) !== MAGIC) throw unsafe('it is no qcow2');
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw unsafe(`it is qcow2 of version ${version}`);
  if (head.readBigUInt64BE(BACKING_OFFSET) !== 0n)
    throw unsafe(
      'its header names a backing file',
      'Delete the snapshots of the volume in Cinder, or copy it to a new volume: a chain of files is not served.',
    );
  if (head.readUInt32BE(CRYPT_METHOD) !== 0) throw unsafe('it is encrypted');
  if (version === 3) judgeFeatures(head);
  return { version, virtualSize: Number(head.readBigUInt64BE(24)) };
}

function judgeFeatures(head: Buffer): void {
  if (head.length < V3_LENGTH) throw unsafe('its header is cut short');
  const features = head.readBigUInt64BE(72);
  if ((features & DATA_FILE) !== 0n) throw unsafe('its data is in another file');
  const unknown = features & ~HARMLESS;
  if (unknown !== 0n) throw unsafe(`it has unknown features (0x${unknown.toString(16)})`);
  for (const type of extensions(head))
    if (type === DATA_FILE_NAME) throw unsafe('its header names a data file');
}

/** The types of the header's extensions; what does not fit into `head` is not read by anybody, for it is no header. */
function extensions(head: Buffer): readonly number[] {
  const types: number[] = [];
  let at = head.readUInt32BE(100);
  while (at >= V3_LENGTH && at + 8 <= head.length) {
    const type = head.readUInt32BE(at);
    if (type === END) return types;
    types.push(type);
    at += 8 + Math.ceil(head.readUInt32BE(at + 4) / 8) * 8;
  }
  throw unsafe('its header is cut short');
}

function unsafe(why: string, remedy?: string): CinderfsError {
  return new CinderfsError('volume_unsafe', `the volume's qcow2 is not decoded: ${why}`, { remedy });
}
