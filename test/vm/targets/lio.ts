import { rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { sh } from '../support/command.js';
import { CONFIGFS, link, make, set, unmake } from './configfs.js';

const TARGETS = join(CONFIGFS, 'target');

/** A file as a disk that targets can export. `serial` is its unit serial, from which LIO makes its NAA name. */
export interface Backstore {
  readonly directory: string;
  remove(): void;
}

export function fileBackstore(name: string, file: string, bytes: number, serial: string): Backstore {
  const directory = make(TARGETS, 'core/fileio_0', name);
  set(directory, 'control', `fd_dev_name=${file},fd_dev_size=${bytes},fd_buffered_io=1`);
  set(directory, 'wwn/vpd_unit_serial', serial);
  set(directory, 'enable', 1);
  return {
    directory,
    remove: () => {
      unmake(directory);
      rmSync(file, { force: true });
    },
  };
}

export interface Chap {
  readonly user: string;
  readonly password: string;
}

/** A target port group of LIO: LUNs, and which of them an initiator may see. */
abstract class PortGroup {
  readonly group: string;
  readonly #top: string;
  readonly #acl: string;

  constructor(top: string, initiator: string) {
    this.#top = top;
    this.group = make(top, 'tpgt_1');
    this.#acl = make(this.group, 'acls', initiator);
  }

  protected authenticate({ user, password }: Chap): void {
    set(this.#acl, 'auth/userid', user);
    set(this.#acl, 'auth/password', password);
    set(this.group, 'attrib/authentication', 1);
  }

  map(lun: number, { directory }: Backstore): void {
    const port = make(this.group, 'lun', `lun_${lun}`);
    link(directory, port, 'backstore');
    link(port, make(this.#acl, `lun_${lun}`), 'lun');
  }

  /** Takes the LUN away, under whoever reads it. */
  unmap(lun: number): void {
    unlinkSync(join(this.#acl, `lun_${lun}`, 'lun'));
    unmake(join(this.#acl, `lun_${lun}`));
    unmake(join(this.group, 'lun', `lun_${lun}`));
  }

  remove(): void {
    unmake(this.group);
    unmake(this.#top);
  }
}

/** An iSCSI target of the kernel. */
export class IscsiTarget extends PortGroup {
  readonly iqn: string;

  constructor(iqn: string, initiator: string, portals: readonly string[], chap: Chap) {
    super(make(TARGETS, 'iscsi', iqn), initiator);
    this.iqn = iqn;
    for (const portal of portals) this.addPortal(portal);
    set(this.group, 'attrib/generate_node_acls', 0);
    this.authenticate(chap);
    set(this.group, 'enable', 1);
  }

  addPortal(portal: string): void {
    make(this.group, 'np', portal);
  }

  /** Closes the listening socket and ends the connections through it. */
  removePortal(portal: string): void {
    unmake(join(this.group, 'np', portal));
    const [address = '', port = ''] = portal.split(':');
    sh('ss', '-K', 'dst', address, 'dport', '=', port);
  }
}

/** A Fibre Channel target of the kernel, over FCoE. */
export class FcTarget extends PortGroup {
  constructor(wwpn: string, initiator: string) {
    super(make(TARGETS, 'fc', colons(wwpn)), colons(initiator));
  }
}

/** 20005254000f01 -> 20:00:52:... */
function colons(wwn: string): string {
  return wwn.replace(/../g, '$&:').replace(/:$/, '');
}
