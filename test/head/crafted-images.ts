/** Small images made to lead programs astray, and their harmless kin. */

export interface Qcow2Parts {
  readonly version?: number;
  readonly backing?: string;
  /** Bits of the incompatible features. */
  readonly features?: readonly number[];
  readonly bytes?: number;
}

export function qcow2({ version = 3, backing, features = [], bytes = 65_536 }: Qcow2Parts = {}): Buffer {
  const image = Buffer.alloc(bytes);
  image.write('QFI\xfb', 'latin1');
  image.writeUInt32BE(version, 4);
  if (backing !== undefined) {
    image.writeBigUInt64BE(512n, 8);
    image.writeUInt32BE(backing.length, 16);
    image.write(backing, 512);
  }
  image.writeUInt32BE(16, 20);
  image.writeBigUInt64BE(1n << 20n, 24);
  image.writeBigUInt64BE(
    features.reduce((all, bit) => all | (1n << BigInt(bit)), 0n),
    72,
  );
  image.writeUInt32BE(4, 96);
  image.writeUInt32BE(104, 100);
  return image;
}

/** `image` with the header extension that says what format the backing file has. */
export function withBackingFormat(image: Buffer, format: string | undefined): Buffer {
  if (format === undefined) return image;
  const at = image.readUInt32BE(4) === 2 ? 72 : 104;
  image.writeUInt32BE(0xe2792aca, at);
  image.writeUInt32BE(format.length, at + 4);
  image.write(format.slice(0, 256), at + 8, 'latin1');
  return image;
}

export interface VmdkParts {
  readonly capacity?: bigint;
  readonly descriptorAt?: bigint;
  readonly lines?: readonly string[];
  readonly directory?: bigint;
  readonly footer?: 'right' | 'wrong' | 'moved';
}

export const SPARSE_LINES = [
  '# Disk DescriptorFile',
  'version=1',
  'CID=7ab3d1a2',
  'parentCID=ffffffff',
  'createType="monolithicSparse"',
  '',
  '# Extent description',
  'RW 2048 SPARSE "image.vmdk"',
  'ddb.adapterType = "ide"',
];

export function vmdk(parts: VmdkParts = {}): Buffer {
  const { lines = SPARSE_LINES, footer } = parts;
  const image = Buffer.alloc(65_536);
  sparseHeader(parts).copy(image);
  image.write(lines.join('\n'), 512, 'latin1');
  if (footer === undefined) return image;
  const end = image.length - 3 * 512;
  if (footer === 'wrong') return image;
  image.writeUInt32LE(3, end + 12);
  const moved = footer === 'moved' ? { descriptorAt: 2n } : {};
  sparseHeader({ ...parts, directory: 21n, ...moved }).copy(image, end + 512);
  return image;
}

function sparseHeader({ capacity = 2048n, descriptorAt = 1n, directory = 21n }: VmdkParts): Buffer {
  const header = Buffer.alloc(512);
  header.write('KDMV');
  header.writeUInt32LE(1, 4);
  header.writeBigUInt64LE(capacity, 12);
  header.writeBigUInt64LE(128n, 20);
  header.writeBigUInt64LE(descriptorAt, 28);
  header.writeBigUInt64LE(20n, 36);
  header.writeUInt32LE(512, 44);
  header.writeBigUInt64LE(directory, 56);
  return header;
}

/** A raw disk whose bytes at `at` are `mark`. */
export function marked(...marks: readonly (readonly [at: number, mark: string | Buffer])[]): Buffer {
  const image = Buffer.alloc(128 * 1024);
  for (const [at, mark] of marks)
    image.set(typeof mark === 'string' ? Buffer.from(mark, 'latin1') : mark, at);
  return image;
}

export const MBR = [510, '\x55\xaa'] as const;
export const ISO = [32_769, 'CD001'] as const;
