/** Where a read-only NBD export is that takes several connections (qemu-nbd). */
export interface NbdExport {
  /** A unix socket. */
  readonly socket: string;
  readonly exportName: string;
}
