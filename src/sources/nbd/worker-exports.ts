import { CinderfsError } from '../../errors.js';
import { BlockingConnection } from '../../nbd/blocking-connection.js';
import { ConnectionLost } from '../../nbd/pending.js';
import type { SystemCalls } from '../../sys/calls/system-calls.js';
import { PAGE_SIZE } from '../../sys/aligned-buffer.js';
import type { SharedExports } from './shared-exports.js';

/** The NBD exports that one worker reads, each over a connection of the worker's own, made at the first read. */
export class WorkerExports {
  readonly #exports: SharedExports;
  readonly #workerId: number;
  readonly #calls: () => SystemCalls | undefined;
  readonly #connections = new Map<number, BlockingConnection>();

  constructor(exports: SharedExports, workerId: number, calls: () => SystemCalls | undefined) {
    this.#exports = exports;
    this.#workerId = workerId;
    this.#calls = calls;
  }

  /** As BlockingConnection.read. Any failure but the server's own answer ends the connection; the next read makes one. */
  read(place: number, memory: Buffer, at: number, offset: number, length: number): number {
    const connection = this.#connection(place);
    try {
      return connection.read(memory, at, offset, length);
    } catch (error) {
      if (!CinderfsError.is(error)) this.#disconnect(place);
      throw error;
    }
  }

  /** Only we set the socket of this slot and worker: while there is one, it is the connection's. */
  #connection(place: number): BlockingConnection {
    const known = this.#connections.get(place);
    if (known !== undefined && this.#exports.socket(place, this.#workerId) !== undefined) return known;
    const { socket: path, exportName } = this.#exports.address(place);
    const socket = this.#calls()?.connectUnix(path);
    if (socket === undefined) throw new ConnectionLost('koffi is not installed');
    this.#exports.setSocket(place, this.#workerId, socket);
    try {
      const connection = new BlockingConnection(socket, exportName);
      if (connection.alignment > PAGE_SIZE)
        throw new ConnectionLost(`the NBD export wants reads of ${connection.alignment} bytes`);
      this.#connections.set(place, connection);
      return connection;
    } catch (error) {
      this.#disconnect(place);
      throw error;
    }
  }

  #disconnect(place: number): void {
    this.#connections.delete(place);
    const socket = this.#exports.takeSocket(place, this.#workerId);
    if (socket !== undefined) this.#calls()?.closeSocket(socket);
  }
}
