import type { NbdExport } from './nbd-export.js';

/**
 * NBD exports that workers read over connections of their own, in memory that every thread sees: where each export is,
 * and the socket that each worker has to it. A worker connects at its first read; the main thread closes what is
 * left when the export's last file is closed. A socket is closed by the code that takes its number out of here.
 *
 * An export is known by its place. Place 0 is never in use: it stands for "no export".
 */
const PLACES = 1024;
const NO_SOCKET = 0;
const ADDRESS_BYTES = 256;

export class SharedExports {
  readonly memory: SharedArrayBuffer;
  readonly #workers: number;
  readonly #sockets: Int32Array;
  readonly #addresses: Buffer;
  readonly #free: number[] = [];
  #next = 1;

  /** For `workers` workers; `memory` joins the exports of another thread. */
  constructor(
    workers: number,
    memory = new SharedArrayBuffer(PLACES * (workers * Int32Array.BYTES_PER_ELEMENT + ADDRESS_BYTES)),
  ) {
    this.memory = memory;
    this.#workers = workers;
    this.#sockets = new Int32Array(memory, 0, PLACES * workers);
    this.#addresses = Buffer.from(memory, this.#sockets.byteLength);
  }

  /** Main: a place for `source`; undefined when there is none left or its address is too long. */
  publish(source: NbdExport): number | undefined {
    const address = Buffer.from(JSON.stringify([source.socket, source.exportName]));
    if (address.length >= ADDRESS_BYTES) return undefined;
    const place = this.#free.pop() ?? (this.#next < PLACES ? this.#next++ : undefined);
    if (place === undefined) return undefined;
    const at = place * ADDRESS_BYTES;
    address.copy(this.#addresses.fill(0, at, at + ADDRESS_BYTES), at);
    return place;
  }

  /** Main: that export has no reader any more; its sockets, to be closed. */
  withdraw(place: number): readonly number[] {
    this.#free.push(place);
    return Array.from({ length: this.#workers }, (_, workerId) => this.takeSocket(place, workerId)).filter(
      (socket) => socket !== undefined,
    );
  }

  /** Where the export at `place` is. */
  address(place: number): Pick<NbdExport, 'socket' | 'exportName'> {
    const at = place * ADDRESS_BYTES;
    const end = this.#addresses.indexOf(0, at);
    const [socket, exportName] = JSON.parse(this.#addresses.toString('utf8', at, end)) as [string, string];
    return { socket, exportName };
  }

  /** The socket of that worker to that export. */
  socket(place: number, workerId: number): number | undefined {
    const socket = Atomics.load(this.#sockets, place * this.#workers + workerId);
    return socket === NO_SOCKET ? undefined : socket;
  }

  setSocket(place: number, workerId: number, socket: number): void {
    Atomics.store(this.#sockets, place * this.#workers + workerId, socket);
  }

  /** Takes the socket out: the caller closes it. */
  takeSocket(place: number, workerId: number): number | undefined {
    const socket = Atomics.exchange(this.#sockets, place * this.#workers + workerId, NO_SOCKET);
    return socket === NO_SOCKET ? undefined : socket;
  }

  /** Main: every socket of a worker that died, to be closed: it may have died in the middle of a reply. */
  vacate(workerId: number): readonly number[] {
    return Array.from({ length: this.#next }, (_, place) => this.takeSocket(place, workerId)).filter(
      (socket) => socket !== undefined,
    );
  }
}
