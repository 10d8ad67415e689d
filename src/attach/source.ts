import type { RbdAddress } from '../ceph/address.js';
import { rbdName } from '../ceph/address.js';

/** Where the bytes of an attached volume are read on this host. Every connector yields one; every reader takes one. */
export type Source = FileSource | NbdSource | RbdSource;

/** A regular file or block device, opened O_RDONLY by the reader. It may be longer than the image. */
export interface FileSource {
  readonly kind: 'file' | 'device';
  readonly path: string;
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
