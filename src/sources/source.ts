import type { RbdAddress } from '../ceph/address.js';
import { rbdName } from '../ceph/address.js';

/** Where the bytes of an attached volume are read on this host. Every connector yields one; every reader takes one. */
export type Source = FileSource | NbdSource | RbdSource;

/** A regular file or block device, opened O_RDONLY by the reader. It may be longer than the image. */
export interface FileSource {
  readonly kind: 'file' | 'device';
  readonly path: string;
  /** Of a file: the directory that it must lie below, reached without any link, and its `DEVICE:INODE`; see sys/files/beneath.ts. */
  readonly beneath?: string | undefined;
  readonly inode?: string | undefined;
  /**
   * Hexadecimal; what every path of this device says as long as it leads to this volume: part of its answer to INQUIRY
   * page 0x83 or to NVMe's Identify. Absent where the device cannot come to be another one under its reader, or has no
   * name of its own. A reader asks right after a read, and hands nothing on that is not confirmed.
   */
  readonly says?: string | undefined;
}

/** A read-only NBD export on a unix socket that takes several connections (qemu-nbd). */
export interface NbdSource {
  readonly kind: 'nbd';
  readonly socket: string;
  readonly exportName: string;
}

/** An RBD image, read by librbd in this process: open there (ceph/rbd-images.ts) for as long as it is attached. */
export interface RbdSource {
  readonly kind: 'rbd';
  readonly address: RbdAddress;
  /** Which image it is, whatever has its name by now. */
  readonly id: string;
}

/** The source in one word-like string, for logs and `cinderfs status`. Never holds a secret. */
export function describeSource(source: Source): string {
  switch (source.kind) {
    case 'nbd':
      return `nbd+unix:///${source.exportName}?socket=${source.socket}`;
    case 'rbd':
      return `rbd:${rbdName(source.address)}`;
    default:
      return `${source.kind}:${source.path}`;
  }
}
