/** Where the bytes of an attached volume are read on this host. Every connector yields one; every reader takes one. */
export type Source = FileSource | NbdSource;

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

/** The source in one word-like string, for logs and `cinderfs status`. Never holds a secret. */
export function describeSource(source: Source): string {
  return source.kind === 'nbd'
    ? `nbd+unix:///${source.exportName}?socket=${source.socket}`
    : `${source.kind}:${source.path}`;
}
