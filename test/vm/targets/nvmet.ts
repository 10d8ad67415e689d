import { join } from 'node:path';
import { sh } from '../support/command.js';
import { CONFIGFS, link, make, set, unmake } from './configfs.js';

const NVMET = join(CONFIGFS, 'nvmet');

export interface Port {
  readonly address: string;
  readonly service: number;
}

/** A file as a namespace of an NVMe subsystem over TCP, on several ports. The kernel's own target. */
export class NvmeTarget {
  readonly nqn: string;
  readonly #subsystem: string;
  readonly #host: string;
  readonly #ports: readonly string[];
  readonly #loops: string[] = [];

  constructor(nqn: string, hostNqn: string, ports: readonly Port[]) {
    this.nqn = nqn;
    this.#subsystem = make(NVMET, 'subsystems', nqn);
    set(this.#subsystem, 'attr_allow_any_host', 0);
    this.#host = make(NVMET, 'hosts', hostNqn);
    link(this.#host, join(this.#subsystem, 'allowed_hosts'));
    this.#ports = ports.map(({ address, service }, index) => {
      const port = make(NVMET, 'ports', String(index + 1));
      set(port, 'addr_trtype', 'tcp');
      set(port, 'addr_adrfam', 'ipv4');
      set(port, 'addr_traddr', address);
      set(port, 'addr_trsvcid', service);
      return port;
    });
    this.#ports.forEach((_, index) => this.openPort(index));
  }

  /** `uuid` is what the namespace says of itself; over a loop device, so that it could grow. */
  addNamespace(number: number, file: string, uuid: string): void {
    const loop = sh('losetup', '-f', '--show', file).trim();
    this.#loops.push(loop);
    const namespace = make(this.#subsystem, 'namespaces', String(number));
    set(namespace, 'device_path', loop);
    set(namespace, 'device_uuid', uuid);
    set(namespace, 'enable', 1);
  }

  removeNamespace(number: number): void {
    const namespace = join(this.#subsystem, 'namespaces', String(number));
    set(namespace, 'enable', 0);
    unmake(namespace);
  }

  openPort(index: number): void {
    link(this.#subsystem, join(this.#portAt(index), 'subsystems'));
  }

  /** Ends the controllers on that port. */
  closePort(index: number): void {
    sh('rm', join(this.#portAt(index), 'subsystems', this.nqn));
  }

  remove(): void {
    this.#ports.forEach(unmake);
    unmake(this.#subsystem);
    unmake(this.#host);
    this.#loops.forEach((loop) => sh('losetup', '-d', loop));
  }

  #portAt(index: number): string {
    const port = this.#ports[index];
    if (port === undefined) throw new Error(`no port ${index}`);
    return port;
  }
}
