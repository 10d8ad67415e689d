import type { HeadBytes } from './head-bytes.js';

const SPARSE_HEADER = 64;
const SECTOR = 512;
const DESCRIPTOR_AT = 512;
/** Where the header leaves the grain directory to a footer at the end of the file. */
const AT_END = 0xffff_ffff_ffff_ffffn;
const FOOTER_MARKER = 3;
const SAFE_TYPES = ['monolithicsparse', 'streamoptimized'];
const EXTENT = /^(?:rw|rdonly|noaccess)(?:[ \t]|$)/;
/** Kinds of extents that lie in files, devices or maps of their own. */
const FOREIGN_EXTENT = /^\S+\s+\S+\s+(?:flat|vmfs\w*|zero|sesparse)\b/;

/** Whether a program may take these bytes for a VMDK: by its magic, or as the text of a descriptor. */
export function isVmdk(head: Buffer): boolean {
  const magic = head.toString('latin1', 0, 4);
  return magic === 'KDMV' || magic === 'COWD' || isDescriptor(head);
}

/**
 * What in a VMDK leads a program that opens it to another file; nothing for a safe one. Safe is what lies in this one
 * file alone: monolithicSparse and streamOptimized.
 */
export function dangersOfVmdk({ head, tail }: HeadBytes): readonly string[] {
  if (head.toString('latin1', 0, 4) !== 'KDMV') return ['its extents are other files'];
  if (head.length < SPARSE_HEADER) return ['its VMDK header is cut short'];
  const header = sparseHeader(head);
  if (header.version < 1 || header.version > 3) return [`it is VMDK of version ${header.version}`];
  // Without a capacity the header is none, and the extents of the descriptor count.
  if (header.capacity === 0n) return ['its extents are other files'];
  return [
    ...(header.directory === AT_END ? dangersOfFooter(head, tail) : []),
    ...dangersOfDescriptor(embeddedDescriptor(head, header)),
  ];
}

interface SparseHeader {
  readonly version: number;
  /** Sectors, as all that follows. */
  readonly capacity: bigint;
  readonly descriptorAt: bigint;
  readonly descriptorSize: bigint;
  readonly directory: bigint;
}

function sparseHeader(bytes: Buffer): SparseHeader {
  return {
    version: bytes.readUInt32LE(4),
    capacity: bytes.readBigUInt64LE(12),
    descriptorAt: bytes.readBigUInt64LE(28),
    descriptorSize: bytes.readBigUInt64LE(36),
    directory: bytes.readBigUInt64LE(56),
  };
}

/** Text of the descriptor; undefined where it is not where it belongs, or longer than what is looked at. */
function embeddedDescriptor(
  head: Buffer,
  { descriptorAt, descriptorSize }: SparseHeader,
): string | undefined {
  if (descriptorAt * BigInt(SECTOR) !== BigInt(DESCRIPTOR_AT)) return undefined;
  const room = head.subarray(DESCRIPTOR_AT);
  const stated = descriptorSize * BigInt(SECTOR);
  if (stated > BigInt(room.length)) return undefined;
  const bytes = room.subarray(0, Number(stated));
  const end = bytes.indexOf(0);
  return textOf(end === -1 ? bytes : bytes.subarray(0, end));
}

/** Case does not count in a descriptor, for some programs; undefined for what is not ASCII. */
function textOf(bytes: Buffer): string | undefined {
  return bytes.some((byte) => byte > 0x7e) ? undefined : bytes.toString('latin1').toLowerCase();
}

function dangersOfDescriptor(text: string | undefined): readonly string[] {
  if (text === undefined || text === '') return ['its VMDK descriptor cannot be read'];
  const dangers = new Set<string>();
  // Programs search the text for these words, wherever in it they stand.
  const types = [...text.matchAll(/createtype\s*=\s*"([^"\n]{0,64})"/g)].map(([, type = '']) => type);
  if (types.length === 0 || types.length !== text.split('createtype').length - 1)
    dangers.add('its VMDK descriptor does not say its type');
  for (const type of types)
    if (!SAFE_TYPES.includes(type)) dangers.add(`it is VMDK of type ${JSON.stringify(type)}`);
  if (text.includes('parentfilenamehint')) dangers.add('it has a backing file');
  for (const danger of dangersOfLines(text)) dangers.add(danger);
  return [...dangers];
}

function dangersOfLines(text: string): readonly string[] {
  const lines = text.split('\n').map((line) => line.trim());
  const told = lines.filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith('ddb'));
  const extents = told.filter((line) => EXTENT.test(line));
  const strange = told.filter((line) => !EXTENT.test(line) && !/^[^\s=]+=/.test(line));
  return [
    ...(strange.length > 0 ? ['its VMDK descriptor has lines that mean nothing'] : []),
    ...(extents.length === 0 ? ['its VMDK descriptor names no extent'] : []),
    ...(extents.some(leadsAway) ? ['its extents are other files'] : []),
  ];
}

/** An extent of another kind, in another directory, or behind a protocol. */
function leadsAway(extent: string): boolean {
  return /[/:]/.test(extent) || FOREIGN_EXTENT.test(extent);
}

/** The footer takes the place of the header: it must say the same but for where the grain directory is. */
function dangersOfFooter(head: Buffer, tail: Buffer): readonly string[] {
  const bad = ['its VMDK footer differs from its header'];
  if (tail.length < 3 * SECTOR) return bad;
  const [marker, footer, end] = [0, 1, 2].map((at) => tail.subarray(at * SECTOR, (at + 1) * SECTOR));
  if (marker === undefined || footer === undefined || end === undefined) return bad;
  const [above, below] = [sparseHeader(head), sparseHeader(footer)];
  const same =
    footer.toString('latin1', 0, 4) === 'KDMV' &&
    below.version === above.version &&
    below.capacity === above.capacity &&
    below.descriptorAt === above.descriptorAt &&
    below.descriptorSize === above.descriptorSize &&
    below.directory !== AT_END;
  const marked = isMarker(marker, FOOTER_MARKER) && isMarker(end, 0) && end.readBigUInt64LE(0) === 0n;
  return same && marked ? [] : bad;
}

function isMarker(sector: Buffer, type: number): boolean {
  return (
    sector.readUInt32LE(8) === 0 &&
    sector.readUInt32LE(12) === type &&
    sector.subarray(16).every((byte) => byte === 0)
  );
}

/** A descriptor that is a file of its own: by its first line that is no comment, as QEMU, or by what it says, as Glance. */
function isDescriptor(head: Buffer): boolean {
  const start = head.subarray(0, SECTOR);
  const text = start.toString('latin1');
  if (/^(?:#[^\n]*\n|[ \t\r]*\n)*version=[123]\s*\n/.test(text)) return true;
  const printable =
    start.length > 0 && start.every((byte) => (byte >= 0x20 && byte < 0x7f) || (byte >= 9 && byte <= 13));
  return printable && head.toString('latin1').toLowerCase().includes('createtype="');
}
