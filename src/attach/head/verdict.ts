import { type ContentFormat, formatsIn, hasVhdFooter } from './content-format.js';
import type { HeadBytes } from './head-bytes.js';
import { dangersOfQcow2 } from './qcow2.js';
import { dangersOfVmdk } from './vmdk.js';

/** What Glance says an image is. */
export interface DeclaredFormat {
  readonly diskFormat: string;
  readonly containerFormat: string;
}

export interface Verdict {
  /** What the bytes are: `raw` when they bear no mark; several joined by `+`. */
  readonly content: string;
  /** Why a program that opens the image may be led astray, in words; empty for a safe one. */
  readonly dangers: readonly string[];
}

/** Disks and file systems that programs read byte by byte: fine in an image that is declared raw. */
const PLAIN: readonly ContentFormat[] = ['gpt', 'iso', 'luks'];
/** Glance's names for what has another name in the bytes. */
const NAMES: Readonly<Record<string, string>> = { vpc: 'vhd' };
/** Names of formats whose bytes bear the mark. */
const MARKED: readonly string[] = ['qcow2', 'qed', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso', 'gpt', 'luks'];
/** Of a VHD: where its kind is, and the one that names a parent file. */
const VHD_KIND_AT = 60;
const VHD_DIFFERENCING = 4;

/**
 * Judges an image by its bytes, as Glance's own inspector does: whether they are what Glance says, and whether they make
 * a program that opens them open another file. Differences from Glance, and why, are in docs/decisions/image-safety.md.
 */
export function judgeHead(bytes: HeadBytes, declared: DeclaredFormat): Verdict {
  const formats = formatsIn(bytes);
  const content = formats.length === 0 ? 'raw' : formats.join('+');
  return { content, dangers: [...mismatch(bytes, formats, declared), ...dangersIn(bytes, formats)] };
}

function mismatch(
  bytes: HeadBytes,
  formats: readonly ContentFormat[],
  { diskFormat, containerFormat }: DeclaredFormat,
): readonly string[] {
  const wanted = NAMES[diskFormat] ?? diskFormat;
  const foreign = formats.filter((format) => format !== wanted && !PLAIN.includes(format));
  // An archive or a compressed stream that looks like a disk is what a program would open.
  if (foreign.length > 0)
    return [`it is ${foreign.join(' and ')}, not ${diskFormat || 'what it is said to be'}`];
  if (!MARKED.includes(wanted)) return [];
  // What is inside a container is not to be seen from here.
  if (containerFormat !== 'bare' && containerFormat !== '' && formats.length === 0) return [];
  if (wanted === 'vhd' && formats.every(isPlain) && hasVhdFooter(bytes)) return [];
  if (!formats.some((format) => format === wanted))
    return [`it is ${formats.length === 0 ? 'raw' : formats.join(' and ')}, not ${diskFormat}`];
  return isPlain(wanted) || formats.length === 1 ? [] : [`it may be taken for ${formats.join(' or ')}`];
}

function isPlain(format: string): boolean {
  return (PLAIN as readonly string[]).includes(format);
}

function dangersIn(bytes: HeadBytes, formats: readonly ContentFormat[]): readonly string[] {
  return formats.flatMap((format) => {
    switch (format) {
      case 'qcow2':
        return dangersOfQcow2(bytes.head);
      case 'qed':
        return ['it is qed, which no program reads safely'];
      case 'vmdk':
        return dangersOfVmdk(bytes);
      case 'vhd':
        return bytes.head.length > VHD_KIND_AT + 4 &&
          bytes.head.readUInt32BE(VHD_KIND_AT) === VHD_DIFFERENCING
          ? ['it has a parent file']
          : [];
      default:
        return [];
    }
  });
}
