import type { HeadBytes } from './head-bytes.js';
import { isVmdk } from './vmdk.js';

/** Formats that bytes can be recognised as. What is none of them is raw. `gpt` stands for an MBR as well. */
export type ContentFormat = 'qcow2' | 'qed' | 'vmdk' | 'vhd' | 'vhdx' | 'vdi' | 'iso' | 'gpt' | 'luks';

const ISO_AT = 32 * 1024;
const ISO_NAMES = ['CD001', 'NSR02', 'NSR03'];
const FIXED_DISK = 0xf8;
const VHD_FOOTER = 512;

const RECOGNISED: Readonly<Record<ContentFormat, (bytes: HeadBytes) => boolean>> = {
  qcow2: ({ head }) => begins(head, 'QFI\xfb'),
  qed: ({ head }) => begins(head, 'QED\0'),
  vmdk: ({ head }) => isVmdk(head),
  vhd: ({ head }) => begins(head, 'conectix'),
  vhdx: ({ head }) => begins(head, 'vhdxfile'),
  vdi: ({ head }) => head.length >= 512 && head.readUInt32LE(0x40) === 0xbeda107f,
  iso: ({ head }) => ISO_NAMES.includes(head.toString('latin1', ISO_AT + 1, ISO_AT + 6)),
  gpt: ({ head }) => head.length >= 512 && head.readUInt16LE(510) === 0xaa55 && !isFat(head),
  luks: ({ head }) => begins(head, 'LUKS\xba\xbe'),
};

/** Every format whose marks the bytes bear; none for raw bytes, several for what may be taken for one or the other. */
export function formatsIn(bytes: HeadBytes): readonly ContentFormat[] {
  return (Object.keys(RECOGNISED) as ContentFormat[]).filter((format) => RECOGNISED[format](bytes));
}

/** A VHD of fixed size is a raw disk with a footer. */
export function hasVhdFooter({ tail }: HeadBytes): boolean {
  return begins(tail.subarray(-VHD_FOOTER), 'conectix');
}

function begins(bytes: Buffer, magic: string): boolean {
  return bytes.toString('latin1', 0, magic.length) === magic;
}

/** The boot record of a FAT file system ends as an MBR does. */
function isFat(head: Buffer): boolean {
  return head[0x10] === 2 && head[0x15] === FIXED_DISK;
}
