/** The end of the header of version 2, and of the part of version 3 that every program writes. */
const VERSION_2_BYTES = 72;
const VERSION_3_BYTES = 104;

const DATA_FILE = 1n << 2n;
/** Dirty, corrupt, compression type, extended L2 entries: none of them names a file. */
const HARMLESS = (1n << 0n) | (1n << 1n) | (1n << 3n) | (1n << 4n);

/** What in a qcow2 header leads a program that opens it to another file, or to what we do not know; nothing for a safe one. */
export function dangersOfQcow2(head: Buffer): readonly string[] {
  if (head.length < VERSION_2_BYTES) return ['its qcow2 header is cut short'];
  const version = head.readUInt32BE(4);
  const dangers = head.readBigUInt64BE(8) === 0n ? [] : ['it has a backing file'];
  if (version === 2) return dangers;
  if (version !== 3) return [...dangers, `it is qcow2 of version ${version}`];
  if (head.length < VERSION_3_BYTES) return [...dangers, 'its qcow2 header is cut short'];
  const features = head.readBigUInt64BE(72);
  if ((features & DATA_FILE) !== 0n) dangers.push('it has an external data file');
  if ((features & ~(DATA_FILE | HARMLESS)) !== 0n) dangers.push('it has unknown incompatible features');
  return dangers;
}
